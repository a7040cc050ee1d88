//! The portal's ten examples, and how each reads in curl, JavaScript and Python.
//!
//! Source: the portal's own page (spec/loop.md section 3). The bodies are kept letter for letter, because people paste
//! them; every example sends the same four headers whether it needs them or not, and the server takes that.

/// One call that a reader can paste.
#[derive(Debug, Clone, Copy)]
pub(super) struct Example {
    pub name: &'static str,
    pub method: &'static str,
    pub path: &'static str,
    /// JSON, as it is printed.
    pub body: Option<&'static str>,
}

/// What stands where the reader's own token goes.
pub(super) const TOKEN: &str = "<access_token>";

pub(super) const EXAMPLES: [Example; 10] = [
    Example {
        name: "Register",
        method: "POST",
        path: "/api/v1/auth/register/",
        body: Some(
            r#"{"email":"dev@example.com","username":"dev","password":"strongpass123","company_name":"Demo Company"}"#,
        ),
    },
    Example {
        name: "Login",
        method: "POST",
        path: "/api/v1/auth/login/",
        body: Some(r#"{"email":"dev@example.com","password":"strongpass123"}"#),
    },
    Example { name: "Current user", method: "GET", path: "/api/v1/auth/me/", body: None },
    Example { name: "Companies", method: "GET", path: "/api/v1/companies/", body: None },
    Example {
        name: "Booking appointment",
        method: "POST",
        path: "/api/v1/booking/appointments/",
        body: Some(r#"{"title":"Consultation","description":"First visit"}"#),
    },
    Example {
        name: "Payments invoice",
        method: "POST",
        path: "/api/v1/payments/invoices/",
        body: Some(r#"{"title":"Invoice 001","data":{"amount":25000,"currency":"RWF"}}"#),
    },
    Example {
        name: "CMS page",
        method: "POST",
        path: "/api/v1/cms/pages/",
        body: Some(r#"{"title":"Home","slug":"home","language":"en","body":"Welcome to LOOP"}"#),
    },
    Example {
        name: "Chat message",
        method: "POST",
        path: "/api/v1/chat/messages/",
        body: Some(r#"{"title":"Customer question","description":"Hello LOOP"}"#),
    },
    Example {
        name: "AI business advice",
        method: "POST",
        path: "/api/v1/ai/business-advice/",
        body: Some(r#"{"prompt":"Summarize this week sales"}"#),
    },
    Example {
        name: "Protector public verify",
        method: "GET",
        path: "/api/v1/protector/public-verify/IHEMATST1/",
        body: None,
    },
];

/// The core resources that the portal's first page names, below `/api/v1`.
pub(super) const CORE_APIS: [&str; 6] = [
    "/companies/",
    "/workspaces/",
    "/developer-profiles/",
    "/api-client-apps/",
    "/internal-api-keys/",
    "/memberships/",
];

/// The products that the portal's first page names; a product's slug is its name in lower case.
pub(super) const PRODUCTS: [&str; 25] = [
    "Booking",
    "Payments",
    "CRM",
    "Desk",
    "Tasks",
    "Commerce",
    "Inventory",
    "POS",
    "NGO",
    "School",
    "Church",
    "Care",
    "Attendance",
    "Events",
    "Logistics",
    "Fleet",
    "Media",
    "Forms",
    "Docs",
    "Security",
    "CyberTrust",
    "AI",
    "Chat",
    "Protector",
    "CMS",
];

/// Which headers an example is printed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Headers {
    /// All four, as on the portal's first page; the value is the app's id.
    All,
    /// Only what a public endpoint needs, as in the developer page's quick test.
    BodyOnly,
    /// A signed-in call from `loop-admin`, as in the developer page's quick test.
    Admin,
    /// A server's call with an internal key in place of a token.
    InternalKey,
}

impl Example {
    /// The headers in the order in which they are printed.
    fn headers(&self, set: Headers) -> Vec<(&'static str, &'static str)> {
        let mut headers = match set {
            Headers::All => vec![
                ("Authorization", "Bearer <access_token>"),
                ("X-Company-ID", "001"),
                ("X-LOOP-APP-ID", "loop-booking-web"),
            ],
            Headers::BodyOnly => Vec::new(),
            Headers::Admin => vec![
                ("Authorization", "Bearer <access_token>"),
                ("X-Company-ID", "001"),
                ("X-LOOP-APP-ID", "loop-admin"),
            ],
            Headers::InternalKey => {
                vec![("X-LOOP-API-KEY", "<internal_key>"), ("X-Company-ID", "001"), ("X-LOOP-APP-ID", "loop-admin")]
            }
        };
        if self.body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        headers
    }

    /// The curl command, line for line as the portal prints it.
    pub fn curl(&self, base_url: &str, set: Headers) -> String {
        let mut lines = vec![format!("curl -X {} {base_url}{}", self.method, self.path)];
        lines.extend(self.headers(set).iter().map(|(name, value)| format!("  -H \"{name}: {value}\"")));
        lines.extend(self.body.map(|body| format!("  -d '{body}'")));
        lines.join(" \\\n")
    }

    /// The same call for a browser or Node, with nothing to install.
    pub fn javascript(&self, base_url: &str, set: Headers) -> String {
        let mut code =
            format!("const response = await fetch(\"{base_url}{}\", {{\n  method: \"{}\",\n", self.path, self.method);
        let headers = self.headers(set);
        if !headers.is_empty() {
            code.push_str("  headers: {\n");
            headers.iter().for_each(|(name, value)| code.push_str(&format!("    \"{name}\": \"{value}\",\n")));
            code.push_str("  },\n");
        }
        if let Some(body) = self.body {
            code.push_str(&format!("  body: JSON.stringify({}),\n", spaced(body)));
        }
        code.push_str("});\nconsole.log(response.status, await response.json());");
        code
    }

    /// The same call with Python's `requests`.
    pub fn python(&self, base_url: &str, set: Headers) -> String {
        let mut code = format!(
            "import requests\n\nresponse = requests.{}(\n    \"{base_url}{}\",\n",
            self.method.to_lowercase(),
            self.path
        );
        // `json=` sets the content type itself.
        let headers: Vec<_> = self.headers(set).into_iter().filter(|(name, _)| *name != "Content-Type").collect();
        if !headers.is_empty() {
            code.push_str("    headers={\n");
            headers.iter().for_each(|(name, value)| code.push_str(&format!("        \"{name}\": \"{value}\",\n")));
            code.push_str("    },\n");
        }
        if let Some(body) = self.body {
            code.push_str(&format!("    json={},\n", spaced(body)));
        }
        code.push_str("    timeout=30,\n)\nprint(response.status_code, response.json())");
        code
    }
}

/// Compact JSON with the spaces that people put after `:` and `,`; what stands inside strings is left alone. The
/// examples hold no `true`, `false` or `null`, so the result is also JavaScript and Python.
fn spaced(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 16);
    let (mut in_string, mut is_escaped) = (false, false);
    for letter in json.chars() {
        text.push(letter);
        if letter == '"' && !is_escaped {
            in_string = !in_string;
        }
        if !in_string && (letter == ':' || letter == ',') {
            text.push(' ');
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    text
}
