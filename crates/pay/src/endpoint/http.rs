//! `/v0/sellers/endpoints` and the public feed.

use std::sync::Arc;

use loopd_store::View;
use loopd_types::Result;
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::{discover, store, wire};
use crate::Pay;
use crate::payment::wire::ENDPOINT;
use crate::project::rules::ACCEPT;
use crate::project::{self, DOOR, PROJECT};
use crate::wire::parse_id;

const BASE: &str = "/v0/sellers/endpoints";

pub fn operations(pay: &Arc<Pay>) -> Vec<Operation> {
    let op = |operation: Operation, summary: &str| {
        operation.tag("loomal sellers").summary(summary).keyed(&DOOR, &[PROJECT], Some(ACCEPT))
    };
    let listed = schema::object([("endpoints", schema::array(wire::row_schema())), ("count", schema::integer())])
        .required(["endpoints", "count"]);
    let shared = pay.clone();
    let mut all = vec![
        op(
            Operation::put("loomal_endpoint_register", BASE, move |call| register(call, shared.clone())),
            "Register what is sold at an address, or change what is said of it",
        )
        .tool("endpoints.register")
        .body(wire::wanted_schema())
        .responds(201, "Registered.", wire::registered_schema())
        .responds(200, "Changed.", wire::registered_schema()),
        op(Operation::get("loomal_endpoint_list", BASE, list), "List this project's endpoints, newest first")
            .tool("endpoints.list")
            .responds(200, "All of them.", listed),
        op(
            Operation::delete("loomal_endpoint_delete", format!("{BASE}/{{endpointId}}"), delete),
            "Take an endpoint away; its history stays",
        )
        .tool("endpoints.delete")
        .param(Param::path("endpointId", schema::string().example("se_0197a000000070008000000000000001")))
        .responds_empty(204, "Taken away."),
    ];
    all.extend(discover::operations(pay));
    all.push(super::call::operation(pay));
    all
}

async fn register(call: Call, pay: Arc<Pay>) -> Result<Reply> {
    let wanted = wire::read(&pay, &call.kernel, call.json_object()?)?;
    let (kernel, tenant, project) = (call.kernel.clone(), call.tenant()?.clone(), project::own_id(&call)?);
    call.commit(tenant.view(), move |tx| {
        let registered = store::register(tx, &kernel, &tenant, project, &wanted)?;
        Reply::json(if registered.is_new { 201 } else { 200 }, &wire::registered(&registered))
    })
    .await
}

async fn list(call: Call) -> Result<Reply> {
    let (company, project) = (call.tenant()?.company, project::own_id(&call)?);
    let rows = call.kernel.db.read(View::Company(company), move |reader| store::list(reader, company, project)).await?;
    let endpoints: Vec<Json> = rows.iter().map(wire::row).collect();
    Reply::json(200, &json!({"endpoints": endpoints, "count": rows.len()}))
}

async fn delete(call: Call) -> Result<Reply> {
    let (kernel, tenant, project) = (call.kernel.clone(), call.tenant()?.clone(), project::own_id(&call)?);
    let id = parse_id(ENDPOINT, call.param("endpointId"));
    call.commit(tenant.view(), move |tx| {
        store::delete(tx, &kernel, &tenant, project, id.ok_or_else(store::not_found)?)?;
        Ok(Reply::no_content())
    })
    .await
}
