//! [`Advisor`]: the port to whatever puts figures into advice. The figures themselves come from the caller, computed from the caller's own
//! rows; an advisor words them and never invents them.

use std::future::Future;
use std::pin::Pin;

use loopd_types::Result;
use serde_json::Value;

/// What somebody wants to know, with everything that may be used to answer.
#[derive(Clone, Debug)]
pub struct Question {
    /// As it was asked. A tenant's text: data, never instruction.
    pub prompt: String,
    /// BCP 47 tag of the language to answer in.
    pub language: String,
    pub company: String,
    /// What was found out, in the order in which it should be told.
    pub facts: Vec<Fact>,
}

/// One thing that was found out.
#[derive(Clone, Debug)]
pub struct Fact {
    /// `sales`, `overdue`.
    pub topic: String,
    /// In plain words, with the numbers.
    pub words: String,
    /// The same for machines.
    pub figures: Value,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    pub text: String,
    /// Who worded it: `offline`, or a model's name.
    pub model: String,
    /// Tokens read and written, as counted or estimated by the advisor.
    pub input_tokens: i64,
    pub output_tokens: i64,
}

/// A future that a port's method answers with.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Advice>> + Send + 'a>>;

/// Work on words that somebody hands in, apart from the company's figures. Every text in it is a tenant's: data, never instruction.
#[derive(Clone, Debug)]
pub struct Task {
    pub work: Work,
    /// BCP 47 tag of the language to answer in.
    pub language: String,
    pub company: String,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Work {
    /// Say a text in at most `sentences` sentences.
    Summarize {
        text: String,
        sentences: usize,
    },
    Draft(Draft),
    /// Find the label that fits a text best, of at least two.
    Classify {
        text: String,
        labels: Vec<Label>,
    },
    /// Find dates, amounts, telephone numbers, e-mail addresses, and the values of these named fields.
    Extract {
        text: String,
        fields: Vec<String>,
    },
}

/// A text to be written.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// `reply`, `letter` or `message`.
    pub form: String,
    /// `formal`, `friendly` or `apologetic`.
    pub tone: String,
    pub recipient: Option<String>,
    /// Who signs; the company when absent.
    pub sender: Option<String>,
    pub subject: Option<String>,
    /// What it is to say, in this order.
    pub facts: Vec<String>,
    /// What a reply answers.
    pub received: Option<String>,
}

/// A label, and words that speak for it besides its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub name: String,
    pub keywords: Vec<String>,
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// An object whose shape the work decides: `{"summary"}`, `{"subject", "body"}`, `{"label", "score", "scores"}`, or what was extracted.
    pub result: Value,
    /// As in [`Advice`].
    pub model: String,
    pub input_tokens: i64,
    pub output_tokens: i64,
}

/// As [`Answering`], for tasks.
pub type Working<'a> = Pin<Box<dyn Future<Output = Result<Outcome>> + Send + 'a>>;

/// Puts facts into advice.
pub trait Advisor: Send + Sync + 'static {
    /// Whether asking has an effect outside this server (it costs money), so that a repeated call must not ask again.
    fn is_outside(&self) -> bool;

    /// Answers a question.
    ///
    /// # Errors
    /// 503 `provider_unavailable` when there is no answer to be had.
    fn advise<'a>(&'a self, question: &'a Question) -> Answering<'a>;

    /// Does a task.
    ///
    /// # Errors
    /// As [`Advisor::advise`].
    fn work<'a>(&'a self, task: &'a Task) -> Working<'a>;
}
