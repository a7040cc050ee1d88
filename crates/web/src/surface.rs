//! [`Surface`]: which of the APIs on this port a path belongs to, and with it the dialect of every refusal.

/// The surfaces that share the port; none of their paths collide (DESIGN 1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Surface {
    Loop,
    Loopwave,
    Loomal,
    Facilitator,
    Mcp,
    Console,
    Operator,
}

impl Surface {
    pub const ALL: [Surface; 7] = [
        Surface::Loop,
        Surface::Loopwave,
        Surface::Loomal,
        Surface::Facilitator,
        Surface::Mcp,
        Surface::Console,
        Surface::Operator,
    ];

    /// The surface of a path; what is nobody else's is LOOP's.
    pub fn of(path: &str) -> Self {
        // Almost every call is one of LOOP's under /api/v1/, so that question comes first.
        if let Some(rest) = path.strip_prefix("/api/v1/") {
            return match first_segment(rest) {
                "health" | "messages" | "media" | "chats" | "contacts" | "tickets" | "broadcasts" => Surface::Loopwave,
                _ => Surface::Loop,
            };
        }
        let rest = path.strip_prefix('/').unwrap_or(path);
        match first_segment(rest) {
            "api" => match first_segment(rest.get(4..).unwrap_or("")) {
                "health" | "version" => Surface::Loopwave,
                _ => Surface::Loop,
            },
            "api-reference" | "webhooks" => Surface::Loopwave,
            "v0" | "identities" | ".well-known" => Surface::Loomal,
            "facilitator" => Surface::Facilitator,
            "mcp" => Surface::Mcp,
            "console" => Surface::Console,
            "metrics" => Surface::Operator,
            "health" => match first_segment(rest.get(7..).unwrap_or("")) {
                "live" | "ready" => Surface::Operator,
                _ => Surface::Loop,
            },
            _ => Surface::Loop,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Surface::Loop => "loop",
            Surface::Loopwave => "loopwave",
            Surface::Loomal => "loomal",
            Surface::Facilitator => "facilitator",
            Surface::Mcp => "mcp",
            Surface::Console => "console",
            Surface::Operator => "operator",
        }
    }
}

fn first_segment(path: &str) -> &str {
    path.split('/').next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_one_surface() {
        for (path, surface) in [
            ("/", Surface::Loop),
            ("/health/", Surface::Loop),
            ("/health", Surface::Loop),
            ("/health/live", Surface::Operator),
            ("/metrics", Surface::Operator),
            ("/api", Surface::Loop),
            ("/api/docs/", Surface::Loop),
            ("/api/version", Surface::Loopwave),
            ("/api/v1/health", Surface::Loopwave),
            ("/api/v1/healthy", Surface::Loop),
            ("/api/v1/tickets/5", Surface::Loopwave),
            ("/api/v1/media", Surface::Loopwave),
            ("/api/v1/chat/messages/", Surface::Loop),
            ("/api/v1/loopwave/contacts/", Surface::Loop),
            ("/api-reference/openapi.json", Surface::Loopwave),
            ("/webhooks/whatsapp/n1a2b3c4", Surface::Loopwave),
            ("/v0/whoami", Surface::Loomal),
            ("/.well-known/did.json", Surface::Loomal),
            ("/facilitator/verify", Surface::Facilitator),
            ("/mcp", Surface::Mcp),
            ("/console/", Surface::Console),
            ("/consoles", Surface::Loop),
            ("no-slash", Surface::Loop),
        ] {
            assert_eq!(Surface::of(path), surface, "{path}");
        }
    }
}
