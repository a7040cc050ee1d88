//! Kinyarwanda.

use loopd_types::Timestamp;

use super::{Frame, Words, linked, plain};
use crate::mail::template::{Template, TwoFactorChange};

pub(super) const FRAME: Frame = Frame {
    greeting: "Muraho,",
    signature: "Itsinda rya LOOP",
    fallback: "Niba buto idakora, koporora iyi aderesi uyifungure muri porogaramu ukoresha kuri interineti:",
};

pub(super) const MONTHS: [&str; 12] = [
    "Mutarama",
    "Gashyantare",
    "Werurwe",
    "Mata",
    "Gicurasi",
    "Kamena",
    "Nyakanga",
    "Kanama",
    "Nzeri",
    "Ukwakira",
    "Ugushyingo",
    "Ukuboza",
];

const NOT_YOU: &str =
    "Niba atari wowe wabikoze, hindura ijambobanga ryawe ako kanya kandi usohoke ku bindi bikoresho byose winjiriyeho.";
const IGNORE: &str = "Niba atari wowe wabisabye, irengagize ubu butumwa: nta kintu kizahinduka.";

pub(super) fn words(template: &Template<'_>, when: &dyn Fn(Timestamp) -> String) -> Words {
    match *template {
        Template::Invitation { company, inviter, role, expires_at, .. } => linked(
            format!("{inviter} yagutumiye muri {company} kuri LOOP"),
            vec![
                format!("{inviter} yagutumiye gukorera muri {company} kuri LOOP, ufite uruhare rwa “{role}”."),
                format!("Fungura ubutumire kugira ngo ubwemere cyangwa ubwange. Buzarangira ku wa {}.", when(expires_at)),
            ],
            "Fungura ubutumire",
            vec!["Niba utari witeze ubu butumire, ushobora kwirengagiza ubu butumwa.".to_owned()],
        ),
        Template::PasswordReset { minutes, .. } => linked(
            "Shyiraho ijambobanga rishya rya LOOP",
            vec![
                "Twakiriye ubusabe bwo gushyiraho ijambobanga rishya rya konti yawe ya LOOP.".to_owned(),
                format!("Umurongo uri hepfo ukora inshuro imwe gusa, kandi umara iminota {minutes}."),
            ],
            "Shyiraho ijambobanga rishya",
            vec![IGNORE.to_owned()],
        ),
        Template::PasswordChanged { .. } => linked(
            "Ijambobanga ryawe rya LOOP ryahinduwe",
            vec![
                "Ijambobanga rya konti yawe ya LOOP ryahinduwe, kandi ibindi bikoresho byose byasohowe muri konti.".to_owned(),
                "Niba ari wowe wabikoze, nta kindi usabwa gukora.".to_owned(),
            ],
            "Si njye wabikoze: shyiraho ijambobanga rishya",
            Vec::new(),
        ),
        Template::VerifyEmail { hours, .. } => linked(
            "Emeza imeyili yawe kuri LOOP",
            vec![
                "Turagusaba kwemeza ko iyi imeyili ari iyawe.".to_owned(),
                format!("Umurongo uri hepfo umara amasaha {hours}."),
            ],
            "Emeza imeyili",
            vec![IGNORE.to_owned()],
        ),
        Template::EmailChangeAsked { new_email } => plain(
            "Hasabwe guhindura imeyili ya konti yawe ya LOOP",
            vec![
                format!("Umuntu winjiye muri konti yawe ya LOOP yasabye ko imeyili yayo ihinduka {new_email}."),
                "Izahinduka ari uko imeyili nshya imaze kwemezwa.".to_owned(),
            ],
            vec![NOT_YOU.to_owned()],
        ),
        Template::EmailChanged { new_email } => plain(
            "Imeyili ya konti yawe ya LOOP yahinduwe",
            vec![
                format!("Imeyili ya konti yawe ya LOOP ubu ni {new_email}."),
                "Ntushobora kongera kwinjira ukoresheje iyi imeyili.".to_owned(),
            ],
            vec!["Niba atari wowe wabikoze, bimenyeshe umuyobozi w’ikigo cyawe ako kanya.".to_owned()],
        ),
        Template::NewSignIn { device, address, at } => plain(
            "Konti yawe ya LOOP yinjiriwemo ku gikoresho gishya",
            vec![
                "Hari uwinjiye muri konti yawe ya LOOP akoresheje igikoresho tutari tuzi.".to_owned(),
                format!("Igihe: {}", when(at)),
                format!("Igikoresho: {device}"),
                format!("Aderesi ya IP: {address}"),
            ],
            vec!["Niba ari wowe, nta kindi usabwa gukora.".to_owned(), NOT_YOU.to_owned()],
        ),
        Template::TwoFactorChanged { change } => plain(
            "Umutekano wa konti yawe ya LOOP wahinduwe",
            vec![
                match change {
                    TwoFactorChange::Enabled => "Kwinjira mu ntambwe ebyiri byashyizwe kuri konti yawe.",
                    TwoFactorChange::Disabled => "Kwinjira mu ntambwe ebyiri byakuwe kuri konti yawe.",
                    TwoFactorChange::RecoveryCodesReplaced => {
                        "Kode nshya zo kugarura konti yawe zashyizweho; iza kera ntizigikora."
                    }
                    TwoFactorChange::RecoveryCodeUsed => "Kode yo kugarura konti yakoreshejwe mu kwinjira muri konti yawe.",
                    TwoFactorChange::PasskeyAdded => "Urufunguzo rwo kwinjira (passkey) rwongewe kuri konti yawe.",
                    TwoFactorChange::PasskeyRemoved => "Urufunguzo rwo kwinjira (passkey) rwakuwe kuri konti yawe.",
                }
                .to_owned(),
            ],
            vec![NOT_YOU.to_owned()],
        ),
        Template::ImpersonationBegun { reason, ends_at } => plain(
            "Umukozi wa LOOP ari gukorera muri konti yawe",
            vec![
                "Ushinzwe iyi serivisi ya LOOP yatangiye gukora mu izina ryawe kugira ngo agufashe.".to_owned(),
                format!("Impamvu: {reason}"),
                format!("Kugeza: {}", when(ends_at)),
                "Ibyo akora byose byandikwa ku mazina yanyu mwembi. Ijambobanga ryawe, intambwe ya kabiri yo kwinjira n’umwirondoro \
                 wawe ntashobora kubikoraho."
                    .to_owned(),
            ],
            vec!["Niba nta wasabye ubufasha, bimenyeshe umuyobozi w’ikigo cyawe.".to_owned()],
        ),
        Template::AccountMerge { own_email, into_email, minutes, .. } => linked(
            "Emeza guhuza konti zawe za LOOP",
            vec![
                format!("Twasabwe guhuza konti ya LOOP ya {own_email} n’iya {into_email}."),
                format!(
                    "Nubyemeza, ibigo iyi konti ikoreramo bizimukira kuri {into_email}, kandi iyi konti izafungwa. Umurongo \
                     ukora inshuro imwe gusa, kandi umara iminota {minutes}."
                ),
            ],
            "Huza konti",
            vec![IGNORE.to_owned()],
        ),
        Template::AccountMerged { absorbed_email, into_email } => plain(
            "Konti zawe za LOOP zahujwe",
            vec![
                format!("Konti ya {absorbed_email} yahujwe n’iya {into_email}."),
                format!("Guhera ubu, injira ukoresheje {into_email}."),
            ],
            vec![NOT_YOU.to_owned()],
        ),
        Template::AccountErase { email, minutes, .. } => linked(
            "Emeza ko konti yawe ya LOOP isibwa",
            vec![
                format!("Twasabwe gusiba konti ya LOOP ya {email} n’amakuru yawe ayirimo."),
                format!(
                    "Nubyemeza, uzasohoka ahantu hose, izina ryawe na aderesi zawe bizasibwa, kandi ntibishobora kugarurwa. Umurongo \
                     ukora inshuro imwe gusa, kandi umara iminota {minutes}."
                ),
            ],
            "Siba konti yanjye",
            vec![IGNORE.to_owned()],
        ),
        Template::DataErased => plain(
            "Amakuru yawe bwite kuri LOOP yasibwe",
            vec![
                "Nk’uko byasabwe, amakuru yawe bwite kuri LOOP yasibwe kandi konti yawe yafunzwe.".to_owned(),
                "Ibyo amategeko adutegeka kubika, nk’inyemezabuguzi, bizagumaho bitagaragaza izina ryawe. Ubu ni ubutumwa bwa \
                 nyuma tukwoherereje."
                    .to_owned(),
            ],
            Vec::new(),
        ),
        Template::WebhookDisabled { company, url } => plain(
            format!("Webhook ya {company} yahagaritswe"),
            vec![
                format!("Webhook yohereza kuri {url} yahagaritswe, kuko imaze iminsi itakira ibyo yohererezwa."),
                "Yikosore, hanyuma wongere uyifungure. Ibyabaye byose birabitswe kandi bishobora kongera koherezwa.".to_owned(),
            ],
            Vec::new(),
        ),
        Template::NumberDown { company, number, reason } => plain(
            format!("Nimero ya WhatsApp {number} ya {company} ntikora"),
            vec![
                format!("Nta butumwa buri kuva kuri nimero ya WhatsApp {number} ubu: {reason}"),
                "Ubutumwa burategereza, buzoherezwa nimero yongeye gukora. Reba niba igomba kongera guhuzwa.".to_owned(),
            ],
            Vec::new(),
        ),
        Template::ChatOverdue { company, customer, agent, is_answered, since } => plain(
            if is_answered { format!("Ikiganiro cya {company} nticyarangiye ku gihe") } else { format!("Umukiriya wa {company} ategereje igisubizo") },
            vec![
                if is_answered { format!("Ikiganiro na {customer} kirafunguye kuva {}.", when(since)) } else { format!("{customer} ategereje igisubizo kuva {}.", when(since)) },
                agent.map_or_else(|| "Nta muntu ufite iki kiganiro.".to_owned(), |agent| format!("Ikiganiro gifitwe na {agent}.")),
            ],
            Vec::new(),
        ),
        Template::NumberRestricted { company, number, reason, until } => plain(
            format!("WhatsApp yahagaritse nimero {number} ya {company}"),
            vec![
                format!("WhatsApp yahagaritse nimero {number} ya {company} kugeza {}.", when(until)),
                format!("Impamvu: {reason}"),
                "Kugeza icyo gihe, ibisubizo byikora n’ubutumwa bwohererezwa benshi birahagaze. Banza urebe ibyoherejwe mbere yo kongera kohereza.".to_owned(),
            ],
            Vec::new(),
        ),
        Template::Bill { company, number, amount, due_at, .. } => linked(
            format!("Inyemezabuguzi {number} ya {company}"),
            vec![
                format!("Inyemezabuguzi {number} ya {company} yabonetse."),
                format!("Amafaranga yo kwishyura: {amount}"),
                format!("Itariki ntarengwa: {}", when(due_at)),
            ],
            "Reba inyemezabuguzi",
            Vec::new(),
        ),
        Template::TrialEnding { company, product, ends_at, .. } => linked(
            format!("Igihe cyo kugerageza {product} kigiye kurangira"),
            vec![
                format!("Igihe cyo kugerageza {product} muri {company} kizarangira ku wa {}.", when(ends_at)),
                "Hitamo ifatabuguzi mbere y’icyo gihe kugira ngo mukomeze kuyikoresha. Amakuru yanyu azagumaho.".to_owned(),
            ],
            "Hitamo ifatabuguzi",
            Vec::new(),
        ),
        Template::FirstCharge { company, product, plan, amount, ends_at, .. } => linked(
            format!("Ifatabuguzi {plan} rya {product} rigiye gutangira"),
            vec![
                format!("Igihe cyo kugerageza {product} muri {company} kizarangira ku wa {}, hatangire ifatabuguzi {plan} mwahisemo.", when(ends_at)),
                format!("Icyo gihe muzishyuzwa {amount} y’igihe cyaryo cya mbere, niba nta gihindutse. Mbere yaho mushobora guhindura ifatabuguzi cyangwa kurihagarika."),
            ],
            "Reba ifatabuguzi",
            Vec::new(),
        ),
        Template::PaymentOverdue { company, number, amount, grace_ends_at, .. } => linked(
            format!("Inyemezabuguzi {number} ntiyishyuwe"),
            vec![
                format!("Inyemezabuguzi {number} ya {company}, ya {amount}, ntiyishyuwe."),
                format!(
                    "Nitishyurwa mbere yo ku wa {}, nta makuru mashya azaba agishobora kwandikwa; kuyasoma bizakomeza.",
                    when(grace_ends_at)
                ),
            ],
            "Ishyura inyemezabuguzi",
            Vec::new(),
        ),
        Template::SubscriptionSuspended { company, product, .. } => linked(
            format!("Ifatabuguzi rya {product} ryahagaritswe"),
            vec![
                format!("Ifatabuguzi rya {company} kuri {product} ryahagaritswe, kuko hari inyemezabuguzi itarishyuwe."),
                "Mushobora gusoma amakuru yanyu, ariko ntimushobora kwandika amashya mbere yo kwishyura.".to_owned(),
            ],
            "Ishyura inyemezabuguzi",
            Vec::new(),
        ),
        Template::UsageLimit { company, meter, used, limit, resets_at, is_reached, .. } => linked(
            if is_reached { format!("Umubare ntarengwa w’ifatabuguzi wagezweho: {meter}") } else { format!("Mumaze gukoresha bine bya gatanu bya {meter}") },
            vec![
                format!("{company} imaze gukoresha {used} kuri {limit} muri uku kwezi: {meter}."),
                if is_reached {
                    format!("Ibindi bisabwa bizangwa kugeza ku wa {} cyangwa kugeza mufashe ifatabuguzi rinini.", when(resets_at))
                } else {
                    format!("Umubare nugerwaho, ibindi bisabwa bizangwa kugeza ku wa {} cyangwa kugeza mufashe ifatabuguzi rinini.", when(resets_at))
                },
            ],
            "Reba ibyakoreshejwe",
            Vec::new(),
        ),
        Template::ExportReady { company, expires_at, .. } => linked(
            format!("Kopi y’amakuru ya {company} iriteguye"),
            vec![
                format!("Amakuru yose {company} ibitse kuri LOOP ari muri dosiye imwe yiteguye."),
                format!("Ushobora kuyifata kugeza ku wa {}.", when(expires_at)),
            ],
            "Fata dosiye",
            Vec::new(),
        ),
    }
}
