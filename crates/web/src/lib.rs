//! axum lives here: operations, the edge, layers, OpenAPI assembly.
