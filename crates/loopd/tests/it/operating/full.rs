//! A disk that is full while files come in: refused in so many words, nothing half written, and well again without a restart.

use http::Method;
use loopd_testkit::{Client, Request};

use super::transfer::register;
use super::transfer_files::stored;
use crate::support::{Program, eventually};

/// Far more than the database needs for these requests.
const ROOM: u64 = 12 << 20;
const UPLOADS: &str = "/api/v1/files/uploads/";

fn content() -> Vec<u8> {
    (0..(ROOM as u32 + (2 << 20))).map(|n| (n >> 10) as u8).collect()
}

fn form(client: &Client) -> Request {
    let mut body = b"--b7\r\ncontent-disposition: form-data; name=\"file\"; filename=\"form.bin\"\r\n\r\n".to_vec();
    body.extend(content());
    body.extend_from_slice(b"\r\n--b7--\r\n");
    client.post("/api/v1/files/").body("multipart/form-data; boundary=b7", body)
}

fn plain(client: &Client) -> Request {
    client.post("/api/v1/files/?name=plain.bin").body("application/octet-stream", content())
}

fn tus(request: Request) -> Request {
    request.header("tus-resumable", "1.0.0")
}

fn piece(client: &Client, upload: &str) -> Request {
    tus(client.patch(upload)).header("upload-offset", "0").body("application/offset+octet-stream", content())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_find_no_room_are_refused_and_leave_nothing() {
    for (program, _database) in Program::on_every_engine().await {
        let server = program.serve_on_a_small_disk();
        let owner = register(&server, "owner").await;
        owner.post("/api/v1/files/?name=before").body("text/plain", "before").await.expect_status(201);
        let begun = tus(owner.post(UPLOADS)).header("upload-length", &content().len().to_string()).await;
        let upload = begun.expect_status(201).header("location").expect("where it is").replace(&server.base, "");
        let offset = async || {
            let told = tus(owner.request(Method::HEAD, &upload)).await.expect_status(200);
            told.header("upload-offset").expect("an offset").to_owned()
        };
        server.let_files_grow(Some(ROOM));
        for request in [plain(&owner), form(&owner), piece(&owner, &upload)] {
            request.await.expect_refusal(507, "storage_full");
            assert_eq!(stored(&program).len(), 1, "half a content stayed: {:?}", stored(&program));
        }
        assert_eq!(offset().await, "0", "nothing of the piece was kept");
        // What is there is read, what is small goes in, and the refused ones take no room of the company.
        let files = owner.get("/api/v1/files/").await.expect_status(200).json();
        assert_eq!(files["count"], 1, "{files}");
        owner.post("/api/v1/files/?name=small").body("text/plain", "small").await.expect_status(201);
        server.let_files_grow(None);
        for request in [plain(&owner), form(&owner)] {
            request.await.expect_status(201);
        }
        piece(&owner, &upload).await.expect_status(204);
        let id = upload.trim_end_matches('/').rsplit('/').next().expect("an id");
        let got = owner.get(&format!("/api/v1/files/{id}/content/")).await.expect_status(200);
        assert!(got.body == content(), "what came in after all is another content");
        // The pieces of an upload go after its answer.
        eventually("one content a file is left", async || stored(&program).len() == 5).await;
    }
}
