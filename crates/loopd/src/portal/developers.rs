//! `/api/developers/`: the reference. Its first half is the platform's rules, its second is written by the registry.

use maud::{Markup, html};

use super::{
    CORE,
    components::{Frame, badge, code_block, code_tabs, literal, method_badge, points, table},
    document::Document,
    examples::{EXAMPLES, Example, Headers},
    info::{Access, ActionDoc, FieldDoc, ModuleDoc, PortalInfo, ResourceDoc, Viewer, Write},
    resources, siblings,
};

/// The fields that every product record has. Source: spec/loop.md section 5.7.
const BASE_RECORD: [(&str, &str, Write, &str); 14] = [
    ("id", "UUID", Write::ReadOnly, "UUIDv7, so that ids sort by time."),
    ("company", "company code", Write::ReadOnly, "From the header."),
    ("workspace", "workspace id or null", Write::Optional, "From the header or the body."),
    ("title", "text, 1 to 255", Write::Required, "On most resources."),
    ("description", "text", Write::Optional, "Empty by default."),
    ("status", "choice", Write::ReadOnly, "Moved by actions where a life cycle exists."),
    (
        "data",
        "JSON object",
        Write::Optional,
        "Your own fields. A typed field given in here is copied up when it is absent above.",
    ),
    ("number", "text", Write::ReadOnly, "Counted per company, e.g. INV-000123, on documents that people quote."),
    ("tags", "list of text", Write::Optional, ""),
    ("external_id", "text", Write::Optional, "Unique per company and resource: your own system's key."),
    ("created_by, updated_by", "user id", Write::ReadOnly, ""),
    ("created_at, updated_at", "datetime", Write::ReadOnly, "UTC, with microseconds."),
    ("deleted_at", "datetime or null", Write::ReadOnly, "Set by DELETE, cleared by restore."),
    ("version", "integer", Write::ReadOnly, "Send it back as If-Match to be safe from lost updates."),
];

pub(super) fn page(info: &PortalInfo, viewer: Viewer) -> Document {
    let description = "Addresses, credentials, tenant rules and every resource, field and action of the LOOP API.";
    let frame = Frame::plain("LOOP API reference", description, "/api/developers/");
    let main = html! {
        div.with-side {
            (contents(info))
            div.reference {
                (head(info, viewer))
                (base_url(info))
                (openapi())
                (authentication())
                (tenant_rules())
                (quick_test(info))
                (internal_key(info, viewer))
                (conventions())
                (core(info))
                (products(info))
                (sibling_products(info))
                (action_endpoints(info))
            }
        }
    };
    frame.render(info, main)
}

fn head(info: &PortalInfo, viewer: Viewer) -> Markup {
    html! {
        header.page-head {
            p.eyebrow { "LOOP by LIGHTMGROUP" }
            h1 { "LOOP API reference" }
            p.badges {
                (badge("brand", &format!("Docs updated {}", info.version)))
                (badge("plain", &info.environment_label()))
                // To outsiders this would be a word about the configuration (spec/loop.md section 12, trap 6).
                @if viewer == Viewer::Staff {
                    @if info.internal_key_enabled { (badge("good", "internal key enabled")) } @else { (badge("quiet", "internal key not set")) }
                }
            }
            p.lead { "How to reach the API, who may do what in which company, and every resource with its fields and actions." }
        }
    }
}

/// The page's own list of contents: beside the text on a wide screen, folded above it on a phone.
fn contents(info: &PortalInfo) -> Markup {
    let rules = [
        ("base-url", "Base URL"),
        ("openapi", "OpenAPI"),
        ("authentication", "Authentication"),
        ("tenant-rules", "Tenant Rules"),
        ("quick-test", "Quick Test"),
        ("internal-ui-key", "Internal UI Key"),
        ("conventions", "Records and lists"),
    ];
    html! {
        nav.side aria-label="On this page" {
            details open {
                summary { "On this page" }
                ul {
                    @for (id, words) in rules { li { a href={ "#" (id) } { (words) } } }
                    li { a href="#core-resources" { "Core resources" } }
                    li {
                        a href="#product-apis" { "Product APIs" }
                        ul { @for module in &info.modules { li { a href={ "#" (module.slug) } { (module.name) } } } }
                    }
                    li {
                        a href="#sibling-products" { "Loopwave and Loomal" }
                        ul { @for sibling in &siblings::SIBLINGS { li { a href={ "#" (sibling.slug) } { (sibling.name) } } } }
                    }
                    li { a href="#action-endpoints" { "Action endpoints" } }
                }
            }
        }
    }
}

fn section(id: &str, title: &str, body: Markup) -> Markup {
    html! { section id=(id) aria-labelledby={ (id) "-title" } { h2 id={ (id) "-title" } { (title) } (body) } }
}

fn base_url(info: &PortalInfo) -> Markup {
    section(
        "base-url",
        "Base URL",
        html! {
            p.address { (literal(&info.api_base())) }
            p { "Every path on this page stands under it. The final slash is optional. Requests and answers are JSON in UTF-8." }
        },
    )
}

fn openapi() -> Markup {
    let rows = [
        ("/api/docs/", "Swagger UI: try calls in the browser"),
        ("/api/redoc/", "ReDoc: read the API, product by product or all on one page"),
        ("/api/schema/", "The OpenAPI document, for generators and tools; ?module=booking for one product's"),
        ("/api-reference/openapi.json", "Loopwave's own document"),
        ("/v0/openapi.json", "Loomal's own document"),
        ("/health/", "Health: app, database, environment, version, timestamp"),
        ("/api/assets/", "Logo, wordmark, favicon and app icons"),
    ];
    let rows = rows.map(|(path, words)| html! { th scope="row" { a href=(path) { code { (path) } } } td { (words) } });
    // No page: a browser that followed a link there would be refused.
    let tools =
        html! { th scope="row" { code { "/mcp" } } td { "The same as tools for agents (Model Context Protocol)" } };
    let rows = rows.into_iter().chain([tools]);
    section("openapi", "OpenAPI", table("Service addresses", &["Address", "What is there"], rows))
}

fn authentication() -> Markup {
    let items = [
        html! { "Apps act for a person with a JWT: " code { "Authorization: Bearer <access_token>" } "." },
        html! { "Servers may use an internal key instead: " code { "X-LOOP-API-KEY: <internal_key>" } ". It acts as a user, in the companies it was made for." },
        html! { "Never expose internal keys in browser JavaScript, React, Vue or mobile code." },
        html! { "An access token is short-lived. " code { "POST /api/v1/auth/refresh/" } " gives a new pair; the old refresh token is then spent." },
    ];
    let headers = [
        ("Authorization", "Bearer <access_token>", "Apps, for protected endpoints"),
        ("X-LOOP-API-KEY", "<internal_key>", "Servers, in place of the token"),
        ("X-Company-ID", "001", "Tenant-scoped requests"),
        ("X-Workspace-ID", "workspace id", "Optional: one workspace inside the company"),
        ("X-LOOP-APP-ID", "loop-booking-web", "Optional: which app is calling"),
        ("Idempotency-Key", "any unique text", "Optional: makes a repeated unsafe call harmless"),
    ];
    let rows = headers
        .map(|(name, value, who)| html! { th scope="row" { code { (name) } } td { code { (value) } } td { (who) } });
    section(
        "authentication",
        "Authentication",
        html! { (points(&items)) div.stacked { (table("Request headers", &["Header", "Value", "Who sends it"], rows)) } },
    )
}

fn tenant_rules() -> Markup {
    let items = [
        html! { "Every important product record belongs to a company and may belong to a workspace." },
        html! { "Company codes are strings: " code { "001" } ", " code { "002" } ", " code { "003" } ". The zeros count." },
        html! { "The API checks for an active membership in the company, or that the internal key may act there." },
        html! { "You see only data of companies where you hold an active membership and the company has the product's subscription." },
        html! { "Internal keys are limited to their allowed companies too." },
        html! { "With one company you may leave the header out. With several, a list without it spans all of them and a write must name one." },
        html! { "An unknown company and one you are not in are refused in the same words." },
        html! { "All modules share this one tenant and authentication model." },
    ];
    section("tenant-rules", "Tenant Rules", points(&items))
}

fn quick_test(info: &PortalInfo) -> Markup {
    let block = |id: &str, example: &Example, headers: Headers| {
        let base = &info.base_url;
        let panels = [
            ("curl", example.curl(base, headers)),
            ("JavaScript", example.javascript(base, headers)),
            ("Python", example.python(base, headers)),
        ];
        html! { h3 { (example.name) " " (method_badge(example.method)) } (code_tabs(id, example.name, &panels)) }
    };
    section(
        "quick-test",
        "Quick Test",
        html! {
            p { "Register once, sign in, and list the companies you may see." }
            (block("quick-register", &EXAMPLES[0], Headers::BodyOnly))
            (block("quick-login", &EXAMPLES[1], Headers::BodyOnly))
            (block("quick-companies", &EXAMPLES[3], Headers::Admin))
        },
    )
}

fn internal_key(info: &PortalInfo, viewer: Viewer) -> Markup {
    section(
        "internal-ui-key",
        "Internal UI Key",
        html! {
            p {
                "For server-side UI integrations that call protected LOOP APIs. Set " code { "LOOP_INTERNAL_API_KEY" } " and "
                code { "LOOP_INTERNAL_API_USER_EMAIL" } " on the server; the email must belong to an active user with the right memberships and product access. \
                 Further keys are made under " code { "/api/v1/internal-api-keys/" } "; they are shown once and stored hashed."
            }
            p { "The key must also be allowed for the selected company." }
            @if viewer == Viewer::Staff {
                p { "On this installation: " @if info.internal_key_enabled { (badge("good", "internal key enabled")) } @else { (badge("quiet", "internal key not set")) } }
            }
            (code_block("Companies, with an internal key", &EXAMPLES[3].curl(&info.base_url, Headers::InternalKey)))
        },
    )
}

fn conventions() -> Markup {
    let record: Vec<FieldDoc> = BASE_RECORD
        .iter()
        .map(|(name, kind, write, note)| FieldDoc {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            write: *write,
            note: (*note).to_owned(),
        })
        .collect();
    let parameters = [
        ("page, page_size", "Pages of 25, up to 100; an answer has count, next, previous and results."),
        ("search", "All words must match, each in any search field."),
        ("ordering", "Comma list, a leading minus for descending: -created_at,title."),
        ("status, tags, workspace", "Exact."),
        ("<field>__gte, __lte, __gt, __lt, __in, __icontains, __isnull", "On any typed field."),
        ("data__<key>", "On your own fields."),
        ("fields, expand", "Fewer fields; references as whole records."),
        ("deleted=true", "Soft-deleted records."),
        ("format=csv", "The same list for a spreadsheet."),
    ];
    let rows = parameters.map(|(name, words)| html! { th scope="row" { code { (name) } } td { (words) } });
    section(
        "conventions",
        "Records and lists",
        html! {
            p { "Every product record has these fields; the tables below list what each resource has on top." }
            (resources::fields("The base record", &record))
            h3 { "List parameters" }
            div.stacked { (table("List parameters", &["Parameter", "Meaning"], rows)) }
            p {
                "A life cycle moves by actions: " code { "POST …/{id}/<action>/" } ". A move that the present status does not allow is 409 "
                code { "invalid_transition" } " with what is allowed; " code { "GET …/{id}/actions/" } " lists it beforehand."
            }
        },
    )
}

fn core(info: &PortalInfo) -> Markup {
    section(
        "core-resources",
        "Core resources",
        html! {
            p { "The foundation under every product." }
            p.note { "Every call: " (in_readers(CORE)) }
            @for resource in &info.core { (resources::fold(&format!("core-{}", resource.path.trim_matches('/')), resource)) }
        },
    )
}

fn products(info: &PortalInfo) -> Markup {
    section(
        "product-apis",
        "Product APIs",
        html! {
            p { "What this installation has, with every resource and field." }
            div.find data-find-box hidden {
                label for="find" { "Find a resource, field or action" }
                input #find type="search" placeholder="appointments, due_date, confirm …" autocomplete="off";
                p.note role="status" data-find-count {}
            }
            @for module in &info.modules { (module_block(module)) }
        },
    )
}

fn sibling_products(info: &PortalInfo) -> Markup {
    section(
        "sibling-products",
        "Loopwave and Loomal",
        html! {
            p { "Two products on the same accounts, companies and billing, with keys, errors and descriptions of their own." }
            (siblings::blocks(info))
        },
    )
}

fn module_block(module: &ModuleDoc) -> Markup {
    html! {
        section.module id=(module.slug) aria-labelledby={ (module.slug) "-title" } {
            header { h3 id={ (module.slug) "-title" } { (module.name) } code { "/api/v1/" (module.slug) "/" } }
            p { (module.summary) }
            p.note { "Every call: " (in_readers(&module.slug)) }
            @for resource in &module.resources { (resources::fold(&anchor(resource), resource)) }
            @if !module.actions.is_empty() {
                div.resource.open { (resources::actions(&format!("Further endpoints of {}", module.name), &module.actions)) }
            }
        }
    }
}

/// Where all operations of a part of the API are described.
fn in_readers(part: &str) -> Markup {
    html! {
        a href={ "/api/docs/?module=" (part) } { "Swagger UI" } " · " a href={ "/api/redoc/?module=" (part) } { "ReDoc" } " · "
        a href={ "/api/schema/?module=" (part) } { "OpenAPI" }
    }
}

/// `/booking/appointments/` → `booking-appointments`.
fn anchor(resource: &ResourceDoc) -> String {
    resource.path.trim_matches('/').replace('/', "-")
}

/// All actions once more in one list, because people look for a verb without knowing whose it is.
fn action_endpoints(info: &PortalInfo) -> Markup {
    let of_module = |module: &'_ ModuleDoc| -> Vec<ActionDoc> {
        module.actions.iter().chain(module.resources.iter().flat_map(|resource| &resource.actions)).cloned().collect()
    };
    let core: Vec<ActionDoc> = info.core.iter().flat_map(|resource| resource.actions.clone()).collect();
    let groups = std::iter::once(("Core".to_owned(), core))
        .chain(info.modules.iter().map(|module| (module.name.clone(), of_module(module))));
    section(
        "action-endpoints",
        "Action endpoints",
        html! {
            p { "Everything beyond create, read, update and delete. Endpoints marked public take no credentials." }
            @for (name, actions) in groups.filter(|(_, actions)| !actions.is_empty()) {
                @let open = actions.iter().filter(|action| action.access == Access::Public).count();
                details.resource {
                    summary {
                        span.resource-face { strong { (name) } }
                        span.counts { span { (actions.len()) @if actions.len() == 1 { " action" } @else { " actions" } } @if open > 0 { span { (open) " public" } } }
                    }
                    div.inside { (resources::actions(&format!("Actions of {name}"), &actions)) }
                }
            }
        },
    )
}
