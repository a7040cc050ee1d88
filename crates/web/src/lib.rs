//! The edge of every HTTP surface: declared operations, the pipeline in front of them, dialects, OpenAPI, the accept loop.
//!
//! Invariants: no SQL, no rule of a product. A surface hands in a list of [`Operation`] values; routing, credentials, tenancy,
//! rate limits, idempotency, documents and refusals all follow from them. Only [`dialect`] knows that there are dialects.

mod access_log;
mod call;
mod compress;
mod cors;
pub mod cursor;
mod description;
pub mod dialect;
mod edge;
pub mod file;
mod idempotent;
mod lifecycle;
pub mod mcp;
mod metrics;
pub mod multipart;
mod negotiate;
pub mod openapi;
pub mod operation;
pub mod page;
mod payload;
mod pipeline;
pub mod proxy;
pub mod query;
pub mod range;
mod reply;
mod router;
pub mod rows;
pub mod schema;
mod sending;
pub mod serve;
mod settings;
pub mod sheet;
mod surface;
pub mod tls;
mod to_its_end;
mod traced;
mod upload;
pub mod yaml;

pub use access_log::AccessFormat;
pub use call::{Call, python_type};
pub use compress::{accepts_gzip, gzip_small};
pub use description::Description;
pub use edge::App;
pub use idempotent::{Claimed, Ticket};
pub use lifecycle::{Lifecycle, Phase};
pub use loopd_types::Network;
pub use metrics::Metrics;
pub use operation::{Access, Content, Handler, Operation, Param, Place, RateClass, RequestBody, ResponseDoc, Streamed};
pub use page::PageWriter;
pub use payload::{BoxError, Payload, StreamBody};
pub use pipeline::{holds_nul, parse_error};
pub use proxy::Peer;
pub use query::{PageNumber, PageRequest, Query};
pub use reply::{Reply, names_tag};
pub use schema::Schema;
pub use sending::Ending;
pub use settings::Settings;
pub use surface::Surface;
pub use upload::Upload;
