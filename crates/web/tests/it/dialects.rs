//! Every kind in every dialect. A reviewer reads the snapshot like a menu.

use std::fmt::Write as _;

use loopd_types::{Kind, Problem};
use loopd_web::{Surface, dialect};

fn problem(kind: Kind) -> Problem {
    let (code, words) = match kind {
        Kind::Invalid => return Problem::field("email", "required", "This field is required.").with_cause("secret"),
        Kind::Unauthenticated => return Problem::not_authenticated(),
        Kind::PaymentRequired => ("license_locked", "The licence is locked."),
        Kind::Forbidden => return Problem::permission_denied(),
        Kind::NotFound => return Problem::not_found(),
        Kind::MethodNotAllowed => ("method_not_allowed", "Method \"PUT\" not allowed."),
        Kind::NotAcceptable => ("not_acceptable", "Could not satisfy the request Accept header."),
        Kind::Conflict => {
            return Problem::conflict("invalid_transition", "That is not possible now.").with_extra("from", "done");
        }
        Kind::Gone => ("expired", "This has expired."),
        Kind::PreconditionFailed => ("precondition_failed", "It was changed meanwhile."),
        Kind::TooLarge => ("payload_too_large", "The request body is larger than 64 bytes."),
        Kind::UnsupportedMediaType => ("unsupported_media_type", "Unsupported media type \"text/plain\" in request."),
        Kind::RangeNotSatisfiable => {
            ("range_not_satisfiable", "The content has 64 bytes; none of them are in this range.")
        }
        Kind::ChecksumMismatch => ("checksum_mismatch", "The content does not have the checksum that came with it."),
        Kind::TooMany => {
            return Problem::new(kind, "throttled", "Request was throttled. Expected available in 17 seconds.")
                .with_header("Retry-After", "17");
        }
        Kind::Internal => return Problem::internal("secret"),
        Kind::BadGateway => ("provider_unavailable", "The provider answered badly."),
        Kind::Unavailable => return Problem::unavailable("secret"),
        Kind::Timeout => ("timeout", "The request took too long."),
        Kind::InsufficientStorage => ("storage_full", "There is no room for files at present."),
    };
    Problem::new(kind, code, words)
}

#[test]
fn every_kind_in_every_dialect() {
    let mut menu = String::new();
    for kind in Kind::ALL {
        let problem = problem(kind);
        let _ = writeln!(menu, "== {} {kind:?}", problem.status());
        for surface in Surface::ALL {
            let reply = dialect::render(surface, &problem, "req-1");
            assert_eq!(reply.status.as_u16(), problem.status());
            let body = String::from_utf8(reply.body.bytes().unwrap().to_vec()).unwrap();
            assert!(!body.contains("secret"), "{body}");
            let headers: Vec<String> = reply
                .headers
                .iter()
                .filter(|(name, _)| *name != "content-type")
                .map(|(name, value)| format!(" [{name}: {}]", value.to_str().unwrap()))
                .collect();
            let _ =
                writeln!(menu, "{:<11} {}{}", surface.as_str(), body.trim_end().replace('\n', " | "), headers.concat());
        }
    }
    insta::assert_snapshot!(menu);
}
