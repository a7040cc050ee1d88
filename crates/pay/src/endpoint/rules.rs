//! Which address is which. Pure.

use loopd_kernel::egress::Url;

/// Longest address.
pub const URL_MOST: usize = 2_000;

/// Origin and path of an address, as payments are matched with it: no query, no fragment, no final slash; host in lower case, no default
/// port. What is no address (a tool's name) stands for itself.
pub fn place(resource: &str) -> String {
    let resource = resource.trim();
    match Url::parse(resource) {
        // Only schemes of the web have an origin.
        Ok(url) if url.origin().is_tuple() => {
            let origin = url.origin().ascii_serialization();
            let path = url.path().trim_end_matches('/');
            format!("{origin}{path}")
        }
        _ => resource.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').to_owned(),
    }
}

/// What is kept of a resource on a payment: the same, but with its slash.
pub fn without_query(resource: &str) -> String {
    resource.split(['?', '#']).next().unwrap_or_default().chars().take(URL_MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_place() {
        for same in [
            "https://api.example.com/weather",
            "https://API.example.com/weather/",
            "https://api.example.com:443/weather?city=Kigali",
            " https://api.example.com/weather#x ",
        ] {
            assert_eq!(place(same), "https://api.example.com/weather", "{same}");
        }
        for (text, expected) in [
            ("tool", "tool"),
            ("unknown", "unknown"),
            ("", ""),
            ("https://a.example/", "https://a.example"),
            ("https://a.example/Weather", "https://a.example/Weather"),
            ("mcp://tool/x?y", "mcp://tool/x"),
        ] {
            assert_eq!(place(text), expected, "{text}");
        }
    }
}
