"""Gives a fresh PocketBase the same slice of the API: companies, memberships, and appointments that every request
may touch only through an active membership in the company that X-Company-ID names."""

RULE = ("@request.auth.id != '' && company.code = @request.headers.x_company_id"
        " && company.memberships_via_company.user ?= @request.auth.id")


def prepare(call, email, password):
    """Makes collections, a user and company 001. `call(method, path, body, token)` gives the answer's JSON and fails on
    a refusal; the superuser `email` must exist. Returns the user's token and the company's id."""
    credentials = {"identity": email, "password": password}
    root = call("POST", "/api/collections/_superusers/auth-with-password", credentials, None)["token"]
    users = call("GET", "/api/collections/users", None, root)["id"]
    relation = lambda name, collection: {
        "name": name, "type": "relation", "collectionId": collection, "maxSelect": 1, "required": True}

    def collection(name, fields, indexes, rule=None):
        rules = {kind: rule for kind in ("listRule", "viewRule", "createRule", "updateRule", "deleteRule")} if rule else {}
        body = {"name": name, "type": "base", "fields": fields, "indexes": indexes, **rules}
        return call("POST", "/api/collections", body, root)["id"]

    companies = collection(
        "companies",
        [{"name": "code", "type": "text", "required": True}, {"name": "name", "type": "text"}],
        ["CREATE UNIQUE INDEX companies_code ON companies (code)"])
    collection(
        "memberships",
        [relation("user", users), relation("company", companies),
         {"name": "role", "type": "text"}, {"name": "active", "type": "bool"}],
        ["CREATE UNIQUE INDEX memberships_pair ON memberships (user, company)"])
    collection(
        "appointments",
        [relation("company", companies),
         {"name": "title", "type": "text", "required": True}, {"name": "description", "type": "text"},
         {"name": "status", "type": "text"}, {"name": "data", "type": "json"},
         {"name": "created", "type": "autodate", "onCreate": True},
         {"name": "updated", "type": "autodate", "onCreate": True, "onUpdate": True}],
        ["CREATE INDEX appointments_newest ON appointments (company, created)"], RULE)

    person = {"email": "dev@example.com", "password": "strongpass123"}
    user = call("POST", "/api/collections/users/records", {**person, "passwordConfirm": person["password"]}, root)
    company = call("POST", "/api/collections/companies/records", {"code": "001", "name": "Demo"}, root)
    membership = {"user": user["id"], "company": company["id"], "role": "owner", "active": True}
    call("POST", "/api/collections/memberships/records", membership, root)
    login = {"identity": person["email"], "password": person["password"]}
    return call("POST", "/api/collections/users/auth-with-password", login, None)["token"], company["id"]
