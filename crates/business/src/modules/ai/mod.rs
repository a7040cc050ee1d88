//! AI: advice on the company's own figures, and what was asked and answered.
//!
//! The numbers always come from `figures/`, computed from the rows that the caller may see; the advisor (`offline.rs`, `openai.rs`) words them.

mod advice;
mod figures;
mod offline;
mod openai;
mod period;
mod store;
mod understand;
mod words;

use std::sync::Arc;

use loopd_kernel::advisor::Advisor;

use crate::define::*;

pub use offline::Offline;
pub use openai::{OpenAi, OpenAiSettings};

/// The module with the offline advisor.
pub fn module() -> Module {
    module_with(Arc::new(Offline))
}

/// The module with an advisor of the operator's choice.
pub fn module_with(advisor: Arc<dyn Advisor>) -> Module {
    Module::new("ai", "AI")
        .description("Advice on the company's own figures in plain words, with the rows it was made from.")
        .resource(runs())
        .resource(conversations())
        .resource(messages())
        .resource(prompts())
        .operation(advice::business_advice(advisor.clone()))
        .operation(advice::feedback())
        .operation(advice::send(advisor))
        .operation(
            Custom::get("usage", "usage/", advice::usage)
                .summary("Count what was asked, by month")
                .help("The last twelve months in the company's time zone, newest first.")
                .permission("runs.view")
                .answer(advice::usage_schema()),
        )
}

fn runs() -> Resource {
    Resource::unnumbered("runs")
        .seen_by_author()
        .help("One question and what came of it.")
        .title_optional()
        .field(
            choice("kind", &["business_advice", "conversation"]).default("business_advice").help("What was asked for."),
        )
        .field(long_text("prompt").help("The question."))
        .field(language("language").help("The language of the answer."))
        .field(long_text("output").help("The answer."))
        .field(json("data_used").help("Which rows it was made from."))
        .field(text("model", 120).help("Who worded it: offline, or a model's name."))
        .field(integer("input_tokens").help("Tokens read."))
        .field(integer("output_tokens").help("Tokens written."))
        .field(text("error", 500).help("Why it failed."))
        .field(boolean("useful").nullable().help("What the asker thought of it."))
        .states(&["done", "failed"])
        .action(
            Action::new("feedback", &["done"])
                .input(boolean("useful").required().help("Whether it helped."))
                .guard(advice::require_asker)
                .routine()
                .event("rated")
                .help("Say whether the answer helped."),
        )
        .search(&["prompt", "output"])
        .read_only()
}

fn conversations() -> Resource {
    Resource::unnumbered("conversations")
        .seen_by_author()
        .help("Questions that belong together.")
        .title_optional()
        .field(
            integer("message_count").count_of("ai/messages", "conversation", &[]).help("Questions and answers in it."),
        )
        .states(&["active", "archived"])
        .action(
            Action::to("archive", &["active"], "archived").guard(advice::require_asker).routine().help("Put it away."),
        )
}

fn messages() -> Resource {
    Resource::unnumbered("messages")
        .seen_through("conversation")
        .help("One question or answer of a conversation.")
        .title_optional()
        .field(reference("conversation", "ai/conversations").help("Where it was said."))
        .field(choice("role", &["user", "assistant"]).help("Who said it."))
        .field(long_text("body").help("What was said."))
        .field(reference("run", "ai/runs").help("The run that answered."))
        .states(&["kept"])
        .search(&["body"])
        .read_only()
}

fn prompts() -> Resource {
    Resource::unnumbered("prompts")
        .help("A question worth asking again, with blanks to fill in.")
        .field(slug("slug").required().unique().help("How clients ask for it.").example("weekly-sales"))
        .field(long_text("template").required().help("The question; blanks are written {{name}}."))
        .field(tags("variables").help("Names of the blanks."))
        .field(integer("revision").min(1).default(1).help("Which edition of the question it is."))
        .states(&["draft", "published", "archived"])
        .action(Action::to("publish", &["draft", "archived"], "published").help("Offer it to everybody."))
        .action(Action::to("archive", &["draft", "published"], "archived").help("Offer it no longer."))
        .search(&["title", "description", "slug", "template"])
}
