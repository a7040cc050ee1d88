//! Sites: names, domains, the default one. What a domain claim is: `store.rs`.

use super::store;
use crate::define::*;

/// The site behind a domain.
pub(super) async fn by_domain(engine: &Engine, domain: &str) -> Result<Option<(loopd_types::CompanyId, Uuid)>> {
    let Some(domain) = normal_domain(domain) else { return Ok(None) };
    let view = loopd_store::View::System;
    engine.kernel.db.read(view, move |reader| store::find_site(reader, &domain)).await
}

/// Lower case, no final dot; `None` for what is no host name with a dot in it (RFC 1123, 2.1).
pub(super) fn normal_domain(text: &str) -> Option<String> {
    let domain = text.trim().trim_end_matches('.').to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_name = domain.len() <= 253 && domain.contains('.') && domain.split('.').all(is_label);
    is_name.then_some(domain)
}

/// A name, a domain that is one, and one default site a company.
pub(super) fn check(cx: &mut Cx<'_, '_>, site: &mut Record) -> Result<()> {
    if !site.has("name") {
        let title = site.title().to_owned();
        site.set("name", title);
    }
    if let Some(text) = site.text("domain").map(str::to_owned) {
        let Some(domain) = normal_domain(&text) else {
            return Err(Problem::field("domain", "invalid", "Enter a valid domain name."));
        };
        site.set("domain", domain);
    } else {
        site.set("domain", Value::Null);
    }
    if site.is("is_default") {
        cx.tx.lock(&format!("cms.default_site:{}", cx.company().0))?;
        if cx.count("cms/sites", &Where::new().eq("is_default", true).except(site.id()))? > 0 {
            return Err(Problem::field("is_default", "unique", "Another site is the default one."));
        }
    }
    Ok(())
}

/// Claims the domain of an active site and gives up those it no longer has.
pub(super) fn claim(cx: &mut Cx<'_, '_>, site: &mut Record) -> Result<()> {
    let domain = site.text("domain").filter(|_| site.status() == "active" && !site.is_deleted());
    if store::claim(cx.tx, cx.tenant.company, site.id(), domain)? {
        Ok(())
    } else {
        Err(Problem::field("domain", "unique", "This field must be unique."))
    }
}

pub(super) fn claim_changed(cx: &mut Cx<'_, '_>, _: &Record, site: &mut Record) -> Result<()> {
    claim(cx, site)
}

pub(super) fn claim_by_action(cx: &mut Cx<'_, '_>, site: &mut Record, _: &Input) -> Result<()> {
    claim(cx, site)
}

/// A restored site takes its domain back.
///
/// # Errors
/// 409 `domain_taken` when another site has it by now.
pub(super) fn reclaim(cx: &mut Cx<'_, '_>, site: &mut Record) -> Result<()> {
    claim(cx, site).map_err(|problem| {
        let domain = site.text("domain").unwrap_or_default();
        let words =
            format!("Another site has the domain {domain} by now. Take it from there first, or make a new site.");
        if problem.status() == 400 { Problem::conflict("domain_taken", words) } else { problem }
    })
}

/// A deleted site gives its domain free.
pub(super) fn release(cx: &mut Cx<'_, '_>, site: &mut Record) -> Result<()> {
    store::claim(cx.tx, cx.tenant.company, site.id(), None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::normal_domain;

    #[test]
    fn domains_are_host_names_in_lower_case() {
        assert_eq!(normal_domain(" WWW.Example.RW. ").as_deref(), Some("www.example.rw"));
        for bad in ["", "001", "a..b", "-a.rw", "a b.rw", "ex_ample.rw", "http://a.rw"] {
            assert_eq!(normal_domain(bad), None, "{bad}");
        }
    }
}
