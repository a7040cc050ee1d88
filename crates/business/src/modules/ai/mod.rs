//! AI: advice on the company's own figures, and what was asked and answered.
//!
//! The numbers always come from `figures/`, computed from the rows that the caller may see; the advisor (`offline.rs`, `openai.rs`) words them.

mod advice;
mod figures;
mod offline;
mod openai;
mod period;
mod prompt;
mod quota;
mod run;
mod store;
mod task;
mod texts;
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
    let module = Module::new("ai", "AI")
        .description(
            "Advice on the company's own figures in plain words, with the rows it was made from; summaries, drafts, labels and extracts of texts.",
        )
        .resource(runs())
        .resource(conversations())
        .resource(messages())
        .resource(prompts())
        .operation(advice::business_advice(advisor.clone()))
        .operation(advice::feedback())
        .operation(advice::send(advisor.clone()))
        .operation(run::retry(advisor.clone()))
        .operation(
            Custom::get("usage", "usage/", advice::usage)
                .summary("Count what was asked, by month")
                .help(
                    "The last twelve months in the company's time zone, newest first, and what is left of this month's cap. The cap is the plan's; \
                     owners may set a lower one as `ai.monthly_cap` in the company's settings. Over it, requests are 429.",
                )
                .permission("runs.view")
                .answer(advice::usage_schema()),
        )
        .setting(integer("monthly_cap").min(0).nullable().help("Requests in a month, if fewer than the plan allows."))
        .tables(|_| store::tables());
    task::operations(&advisor).into_iter().fold(module, Module::operation)
}

fn runs() -> Resource {
    Resource::unnumbered("runs")
        .seen_by_author()
        .help("One question and what came of it.")
        .title_optional()
        .field(
            choice("kind", &["business_advice", "conversation", "summarize", "draft", "classify", "extract"])
                .default("business_advice")
                .help("What was asked for."),
        )
        .field(long_text("prompt").help("The question, or the text that was worked on."))
        .field(object("parameters").help("The rest of the request."))
        .field(language("language").help("The language of the answer."))
        .field(long_text("output").help("The answer in words."))
        .field(json("result").help("The answer for machines, of tasks on texts."))
        .field(json("data_used").help("Which rows it was made from."))
        .field(text("model", 120).help("Who worded it: offline, or a model's name."))
        .field(integer("input_tokens").help("Tokens read."))
        .field(integer("output_tokens").help("Tokens written."))
        .field(text("error", 500).help("Why it failed."))
        .field(integer("attempts").min(1).default(1).help("How often it was asked."))
        .field(boolean("useful").nullable().help("What the asker thought of it."))
        .states(&["running", "done", "failed", "cancelled"])
        .automatic(&["done", "failed"])
        .action(
            Action::to("cancel", &["running"], "cancelled")
                .guard(advice::require_asker)
                .routine()
                .help("Wait for the answer no longer. What it costs is spent."),
        )
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
        .field(
            long_text("template").required().help("The question as it is being written; blanks are written {{name}}."),
        )
        .field(tags("variables").read_only().help("Names of the blanks, as they stand in the template."))
        .field(integer("revision").default(0).read_only().help("How often it was published; 0 before the first time."))
        .field(
            long_text("published_template").read_only().help("The question as it was last published: what others ask."),
        )
        .field(date_time("published_at").read_only().help("When that was."))
        .states(&["draft", "published", "archived"])
        .action(
            Action::to("publish", &["draft", "published", "archived"], "published")
                .guard(prompt::guard_publish)
                .effect(prompt::publish)
                .help("Offer what is written now to everybody, as the next revision."),
        )
        .action(Action::to("archive", &["draft", "published"], "archived").help("Offer it no longer."))
        .search(&["title", "description", "slug", "template"])
        .check(prompt::name_blanks)
}
