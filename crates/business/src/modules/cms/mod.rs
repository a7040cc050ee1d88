//! CMS: pages and posts of a company's sites, with what stands around them; written by staff, read by everybody.

mod copy;
mod desk;
mod public;
mod revision;
mod site;
mod store;
mod tree;

use crate::define::*;

pub use desk::register_jobs;

pub fn module() -> Module {
    Module::new("cms", "CMS")
        .description(
            "Pages, posts and menus of a company's web sites: written, reviewed, scheduled and published here.",
        )
        .resource(sites())
        .resource(authors())
        .resource(categories())
        .resource(pages())
        .resource(posts())
        .resource(revisions())
        .resource(menus())
        .resource(menu_items())
        .resource(blocks())
        .resource(redirects())
        .resource(settings())
        .setting(boolean("public").default(true).help("Whether strangers may read published pages and posts."))
        .operation(copy::duplicate("pages"))
        .operation(copy::duplicate("posts"))
        .operation(copy::translate("pages"))
        .operation(copy::translate("posts"))
        .operation(public::read("pages"))
        .operation(public::read("posts"))
        .tables(|table_of| vec![store::claims(&table_of("cms/sites"))])
}

fn pages() -> Resource {
    written("pages")
        .help("A page of a site. Without a site it belongs to the company as a whole.")
        .field(reference("parent", "cms/pages").help("The page above it."))
        .field(code("template").help("Which of the front end's templates shows it."))
        .unique(&["site", "slug", "language"])
        .before_delete(tree::refuse_with_children)
}

fn posts() -> Resource {
    written("posts")
        .help("An article of a site's blog or news.")
        .field(reference("author", "cms/authors").help("Who is named as its author."))
        .field(references("categories", "cms/categories").help("What it is about."))
        .field(code("template").help("Which of the front end's templates shows it."))
        .unique(&["site", "slug", "language"])
}

/// What pages and posts have in common: words in one language, a life cycle, revisions.
fn written(slug_: &str) -> Resource {
    let open = &["draft", "in_review", "scheduled", "published"];
    Resource::unnumbered(slug_)
        .field(reference("site", "cms/sites").help("The site it stands on."))
        .field(slug("slug").required().help("Its part of the address.").example("home"))
        .field(
            language("language")
                .nullable()
                .help("The language it is written in; the site's default language when absent.")
                .example("en"),
        )
        .field(long_text("body").help("HTML. Strangers get it sanitised.").example("Welcome to LOOP"))
        .field(text("excerpt", 2_000).help("A short version, for lists. Strangers get it sanitised."))
        .field(object("seo").help("What search engines and previews read: title, description, image."))
        .field(date_time("scheduled_at").read_only().indexed().help("When it will be published."))
        .field(date_time("published_at").read_only().indexed().help("When it was published."))
        .field(integer("revision").default(0).read_only().help("Number of its newest revision."))
        .states(&["draft", "in_review", "scheduled", "published", "archived"])
        .action(Action::to("submit", &["draft"], "in_review").routine().help("Ask for a review."))
        .action(
            Action::to("schedule", &["draft", "in_review", "scheduled"], "scheduled")
                .input(date_time("at").required().goes_to("scheduled_at").help("When to publish it."))
                .guard(desk::require_future)
                .after(desk::plan_publication)
                .help("Publish it by itself at that time."),
        )
        .action(
            Action::to("publish", &["draft", "in_review", "scheduled"], "published")
                .stamps("published_at")
                .effect(desk::forget_schedule)
                .help("Show it to everybody."),
        )
        .action(
            Action::to("unpublish", &["in_review", "scheduled", "published", "archived"], "draft")
                .effect(desk::forget_schedule)
                .help("Back to the desk: strangers no longer see it."),
        )
        .action(
            Action::to("archive", open, "archived")
                .effect(desk::forget_schedule)
                .help("Put it away; strangers no longer see it."),
        )
        .action(
            Action::new("restore-revision", open)
                .input(integer("revision").min(1).required().help("Number of the revision.").goes_to("revision"))
                .effect(revision::restore)
                .after(revision::snapshot_restored)
                .event("revision_restored")
                .routine()
                .help("Take title, texts and template from an earlier revision."),
        )
        .search(&["title", "description", "slug", "body", "excerpt"])
        .before_create(desk::complete_new)
        .after_create(revision::snapshot)
        .before_update(desk::complete_changed)
        .after_update(revision::snapshot_changed)
        .check(tree::check)
}

fn revisions() -> Resource {
    Resource::unnumbered("revisions")
        .help("What a page or post said after one of its changes.")
        .title_optional()
        .field(reference("page", "cms/pages").help("The page; null for a post's."))
        .field(reference("post", "cms/posts").help("The post; null for a page's."))
        .field(integer("revision").help("1, 2, 3 … within the page or post.").indexed())
        .field(slug("slug").help("Its part of the address then."))
        .field(language("language").help("Its language then."))
        .field(long_text("body").help("The body as it was."))
        .field(text("excerpt", 2_000).help("The excerpt as it was."))
        .field(object("seo").help("What search engines read then."))
        .field(code("template").help("The template then."))
        .states(&["kept"])
        .search(&["title"])
        .read_only()
}

fn sites() -> Resource {
    Resource::unnumbered("sites")
        .help("A web site of the company.")
        .title_from(&["name"])
        .field(text("name", 255).help("Name of the site; the title when none is given."))
        .field(
            text("domain", 253)
                .indexed()
                .help("Host name under which the site is read. No two active sites of this installation share one.")
                .example("www.example.rw"),
        )
        .field(
            language("default_language")
                .preset(Preset::CompanyLanguage)
                .help("Shown when a page is not there in the language asked for."),
        )
        .field(tags("languages").help("The languages that the site is written in."))
        .field(boolean("is_default").default(false).help("Answers for the company's code in public addresses."))
        .field(object("theme").help("Whatever the front end needs to know."))
        .states(&["active", "inactive"])
        .action(Action::to("activate", &["inactive"], "active").after(site::claim_by_action).help("Bring it back."))
        .action(
            Action::to("deactivate", &["active"], "inactive")
                .after(site::claim_by_action)
                .help("Take it off the net: its pages answer no longer."),
        )
        .search(&["title", "description", "name", "domain"])
        .check(site::check)
        .after_create(site::claim)
        .after_update(site::claim_changed)
        .after_delete(site::release)
        .after_restore(site::reclaim)
}

fn authors() -> Resource {
    Resource::unnumbered("authors")
        .help("Somebody whose name stands under posts.")
        .personal()
        .title_from(&["name"])
        .field(
            text("name", 255)
                .personal(Personal::Name)
                .help("The name as readers see it; the title when none is given."),
        )
        .field(slug("slug").unique().help("Part of the address of the author's page."))
        .field(long_text("bio").personal(Personal::Other).help("A few words about them."))
        .field(email("email").personal(Personal::Contact).help("Where readers may write to."))
        .field(url("photo").personal(Personal::Other).help("Address of a picture."))
        .field(user("user").help("The account of this person, if there is one."))
        .search(&["title", "name", "bio"])
}

fn categories() -> Resource {
    Resource::unnumbered("categories")
        .help("What posts are about.")
        .field(reference("site", "cms/sites").help("The site it is for; all sites when absent."))
        .field(slug("slug").required().help("Its part of the address."))
        .field(reference("parent", "cms/categories").help("The category above it."))
        .unique(&["site", "slug"])
        .search(&["title", "description", "slug"])
        .check(tree::check)
        .before_delete(tree::refuse_with_children)
}

fn menus() -> Resource {
    Resource::unnumbered("menus")
        .help("A list of links on a site: the header, the footer.")
        .field(reference("site", "cms/sites").help("The site it stands on."))
        .field(slug("slug").required().help("How the front end asks for it.").example("header"))
        .field(language("language").help("Shown to readers of this language; to all when absent."))
        .states(&["active", "inactive"])
        .action(Action::to("activate", &["inactive"], "active").routine().help("Show it."))
        .action(Action::to("deactivate", &["active"], "inactive").routine().help("Show it no longer."))
        .action(
            Action::new("reorder", &[])
                .input(references("items", "cms/menu-items").required().help("Its items, in their new order."))
                .effect(desk::reorder)
                .routine()
                .help("Put its items in another order."),
        )
        .unique(&["site", "slug", "language"])
}

fn menu_items() -> Resource {
    Resource::unnumbered("menu-items")
        .help("One link of a menu; its title is what readers click on.")
        .field(reference("menu", "cms/menus").required().help("The menu it stands in."))
        .field(reference("parent", "cms/menu-items").help("The item it hangs below."))
        .field(reference("page", "cms/pages").help("The page it leads to."))
        .field(url("url").help("Or the address it leads to."))
        .field(integer("position").min(0).max(100_000).default(0).help("Its place among its neighbours, from 0."))
        .field(boolean("new_window").default(false).help("Opens in a window of its own."))
        .ordering("position")
        .search(&["title", "url"])
        .check(tree::check)
        .before_delete(tree::refuse_with_children)
}

fn blocks() -> Resource {
    Resource::unnumbered("blocks")
        .help("A piece of content that several pages show.")
        .field(reference("site", "cms/sites").help("The site it is for; all sites when absent."))
        .field(slug("slug").required().help("How templates ask for it."))
        .field(language("language").help("The language it is written in; all when absent."))
        .field(long_text("body").help("HTML."))
        .states(&["active", "inactive"])
        .unique(&["site", "slug", "language"])
        .search(&["title", "slug", "body"])
}

fn redirects() -> Resource {
    Resource::unnumbered("redirects")
        .help("An old address that leads to a new one.")
        .title_from(&["from_path"])
        .field(reference("site", "cms/sites").help("The site it is for; all sites when absent."))
        .field(text("from_path", 500).required().help("The old path, from the slash on.").example("/old"))
        .field(text("to_path", 2_000).required().help("The new path or address.").example("/new"))
        .field(choice("kind", &["permanent", "temporary"]).default("permanent").help("301 or 302."))
        .states(&["active", "inactive"])
        .unique(&["site", "from_path"])
        .search(&["title", "from_path", "to_path"])
        .check(desk::check_redirect)
}

fn settings() -> Resource {
    Resource::unnumbered("settings")
        .help("Something a front end wants to know: a key and a value.")
        .title_from(&["key"])
        .field(reference("site", "cms/sites").help("The site it is for; all sites when absent."))
        .field(code("key").required().help("What it is called.").example("analytics.id"))
        .field(json("value").help("Anything."))
        .unique(&["site", "key"])
        .search(&["title", "key"])
}
