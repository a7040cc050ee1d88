//! Reads the portal's page as a person does who copies from it.

/// The curl commands of the page's ten example blocks, in order, as the clipboard would hold them.
pub fn printed_commands(page: &str) -> Vec<String> {
    let examples = page.split("id=\"examples\"").nth(1).expect("the page has a section of examples");
    let blocks = examples.split("data-language=\"curl\"").skip(1);
    blocks
        .map(|block| {
            let code = block.split("<code>").nth(1).and_then(|rest| rest.split("</code>").next());
            text_of(code.expect("a block holds code"))
        })
        .collect()
}

/// What a browser shows of this markup: tags gone, entities read.
fn text_of(markup: &str) -> String {
    let mut text = String::new();
    let mut rest = markup;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        rest = rest[start..].split_once('>').expect("a tag ends").1;
    }
    text.push_str(rest);
    for (entity, letter) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")] {
        text = text.replace(entity, letter);
    }
    text
}
