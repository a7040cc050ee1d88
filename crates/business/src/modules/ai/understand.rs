//! What a question is about, by its words, in English, French and the basics of Kinyarwanda. Pure.

use super::period::Period;

/// Something that can be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    Sales,
    BestSellers,
    Overdue,
    Unpaid,
    Missed,
    Busiest,
    NewCustomers,
    Waiting,
}

impl Topic {
    /// All, in the order in which they are told.
    pub const ALL: [Topic; 8] = [
        Topic::Sales,
        Topic::BestSellers,
        Topic::Overdue,
        Topic::Unpaid,
        Topic::Missed,
        Topic::Busiest,
        Topic::NewCustomers,
        Topic::Waiting,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Topic::Sales => "sales",
            Topic::BestSellers => "best_sellers",
            Topic::Overdue => "overdue",
            Topic::Unpaid => "unpaid",
            Topic::Missed => "missed_appointments",
            Topic::Busiest => "busiest_hours",
            Topic::NewCustomers => "new_customers",
            Topic::Waiting => "questions_waiting",
        }
    }

    /// The modules that a topic is about; `context.module` narrows by it.
    pub fn modules(self) -> &'static [&'static str] {
        match self {
            Topic::Sales | Topic::BestSellers | Topic::Overdue | Topic::Unpaid => &["payments"],
            Topic::Missed | Topic::Busiest => &["booking"],
            Topic::NewCustomers => &["booking", "payments"],
            Topic::Waiting => &["chat"],
        }
    }

    /// Beginnings of words, and phrases, that ask for it.
    fn signs(self) -> &'static [&'static str] {
        match self {
            Topic::Sales => &[
                "sale",
                "sold",
                "revenue",
                "turnover",
                "income",
                "earn",
                "vente",
                "vendu",
                "chiffre d",
                "recette",
                "revenu",
                "ibyagurishijwe",
                "igurisha",
                "yagurishije",
                "twagurishije",
                "amafaranga yinjiye",
            ],
            Topic::BestSellers => &[
                "best sell",
                "bestsell",
                "best-sell",
                "top product",
                "top item",
                "popular",
                "most sold",
                "sell best",
                "sells best",
                "meilleures ventes",
                "plus vendu",
                "mieux vendu",
                "populaire",
                "byaguzwe cyane",
                "bikunzwe",
            ],
            Topic::Overdue => &[
                "overdue",
                "late pay",
                "past due",
                "late invoice",
                "en retard",
                "impayé en",
                "échu",
                "byarengeje",
                "yarengeje",
                "zarengeje",
                "zatinze",
            ],
            Topic::Unpaid => &[
                "unpaid",
                "owe",
                "outstanding",
                "not paid",
                "receivable",
                "debt",
                "impayé",
                "créance",
                "dû",
                "doivent",
                "dette",
                "imyenda",
                "umwenda",
                "zitarishyurwa",
                "batarishyura",
                "ntibishyuye",
            ],
            Topic::Missed => &[
                "no-show",
                "no show",
                "noshow",
                "cancel",
                "missed",
                "did not come",
                "annul",
                "absence",
                "pas venu",
                "manqué",
                "ntibaje",
                "bahagaritse",
                "byahagaritswe",
            ],
            Topic::Busiest => &[
                "busy",
                "busiest",
                "peak",
                "rush",
                "what time",
                "which hour",
                "heure",
                "affluence",
                "occupé",
                "amasaha",
                "isaha",
            ],
            Topic::NewCustomers => &[
                "new customer",
                "new client",
                "customers did we gain",
                "nouveaux client",
                "nouveau client",
                "abakiriya bashya",
                "umukiriya mushya",
            ],
            Topic::Waiting => &[
                "question",
                "unanswered",
                "waiting for",
                "message",
                "sans réponse",
                "en attente",
                "ibibazo",
                "ubutumwa",
            ],
        }
    }
}

/// What a question asks for; everything when it names nothing that we know.
pub(super) fn topics(prompt: &str, module: Option<&str>) -> Vec<Topic> {
    let text = plain(prompt);
    let fits = |topic: &Topic| module.is_none_or(|module| topic.modules().contains(&module));
    let mut found: Vec<Topic> =
        Topic::ALL.into_iter().filter(|topic| topic.signs().iter().any(|sign| is_said(&text, &plain(sign)))).collect();
    // "best sellers" holds the word for sales, but asks for less
    if found.contains(&Topic::BestSellers) && !is_said(&text, "sales") && !is_said(&text, "ventes de") {
        found.retain(|topic| *topic != Topic::Sales);
    }
    let narrowed: Vec<Topic> = found.into_iter().filter(fits).collect();
    if narrowed.is_empty() { Topic::ALL.into_iter().filter(fits).collect() } else { narrowed }
}

/// The time that a question is about.
pub(super) fn period(prompt: &str) -> Option<Period> {
    const SIGNS: [(Period, &[&str]); 6] = [
        (Period::Yesterday, &["yesterday", "hier", "ejo hashize"]),
        (Period::Today, &["today", "aujourd", "uyu munsi"]),
        (Period::LastWeek, &["last week", "semaine dernière", "semaine passée", "icyumweru gishize"]),
        (Period::ThisWeek, &["this week", "week", "semaine", "icyumweru"]),
        (Period::LastMonth, &["last month", "mois dernier", "mois passé", "ukwezi gushize"]),
        (Period::ThisMonth, &["this month", "month", "mois", "ukwezi"]),
    ];
    let text = plain(prompt);
    SIGNS.iter().find(|(_, signs)| signs.iter().any(|sign| is_said(&text, &plain(sign)))).map(|(period, _)| *period)
}

/// Whether a word of the text begins so.
fn is_said(text: &str, sign: &str) -> bool {
    text.match_indices(sign).any(|(at, _)| !text[..at].chars().next_back().is_some_and(char::is_alphanumeric))
}

/// Lower case, accents off, typographic quotes straight.
fn plain(text: &str) -> String {
    let flat = |letter: char| match letter {
        'à' | 'â' | 'ä' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'î' | 'ï' => 'i',
        'ô' | 'ö' => 'o',
        'û' | 'ù' | 'ü' => 'u',
        'ç' => 'c',
        '’' => '\'',
        other => other,
    };
    text.to_lowercase().chars().map(flat).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_understood_in_three_languages() {
        for (prompt, expected) in [
            ("Summarize our sales this week", vec![Topic::Sales]),
            ("What are our best sellers?", vec![Topic::BestSellers]),
            ("Quelles factures sont en retard ?", vec![Topic::Overdue]),
            ("Résume les ventes de la semaine", vec![Topic::Sales]),
            ("Ni ibiki byagurishijwe? ibyagurishijwe muri iki cyumweru", vec![Topic::Sales]),
            ("Who owes us money?", vec![Topic::Unpaid]),
            ("How many no-shows did we have?", vec![Topic::Missed]),
            ("When are we busiest?", vec![Topic::Busiest]),
            ("How many new customers this month", vec![Topic::NewCustomers]),
            ("Which questions are waiting?", vec![Topic::Waiting]),
            ("Hello", Topic::ALL.to_vec()),
        ] {
            assert_eq!(topics(prompt, None), expected, "{prompt}");
        }
        assert_eq!(topics("Hello", Some("booking")), [Topic::Missed, Topic::Busiest, Topic::NewCustomers]);
    }

    #[test]
    fn periods_are_understood() {
        for (prompt, expected) in [
            ("sales last week", Some(Period::LastWeek)),
            ("sales this week", Some(Period::ThisWeek)),
            ("ventes d’hier", Some(Period::Yesterday)),
            ("ventes d'aujourd'hui", Some(Period::Today)),
            ("les ventes du mois dernier", Some(Period::LastMonth)),
            ("show me everything", None),
        ] {
            assert_eq!(period(prompt), expected, "{prompt}");
        }
    }
}
