//! Mozilla's OHTTP and Binary HTTP on standard input and output: one command a line, one answer a line, bytes in hex.
//! `../ohttp-live.ts` talks to it.
//!
//!     encapsulate CONFIG REQUEST   -> the capsule; the next `open` reads its answer
//!     open RESPONSE                -> what the answer holds
//!     serve KEY_ID AEAD SEED       -> the key configuration of a server with that key
//!     decapsulate CAPSULE          -> the request; the next `seal` answers it
//!     seal RESPONSE                -> the encapsulated response
//!     known MESSAGE                -> the same Binary HTTP message, read and written again in known-length form
//!     indeterminate MESSAGE        -> the same in indeterminate-length form
use std::io::{self, BufRead, Cursor, Write};

use bhttp::{Message, Mode};
use ohttp::hpke::{Aead, Kdf, Kem};
use ohttp::{ClientRequest, ClientResponse, KeyConfig, Server, ServerResponse, SymmetricSuite};

type Failure = Box<dyn std::error::Error>;

#[derive(Default)]
struct Peer {
    response_reader: Option<ClientResponse>,
    server: Option<Server>,
    response_writer: Option<ServerResponse>,
}

fn unhex(text: &str) -> Result<Vec<u8>, Failure> {
    (0..text.len() / 2)
        .map(|at| Ok(u8::from_str_radix(&text[2 * at..2 * at + 2], 16)?))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rewrite(message: &str, mode: Mode) -> Result<String, Failure> {
    let message = Message::read_bhttp(&mut Cursor::new(unhex(message)?))?;
    let mut out = Vec::new();
    message.write_bhttp(mode, &mut out)?;
    Ok(hex(&out))
}

impl Peer {
    fn answer(&mut self, line: &str) -> Result<String, Failure> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["encapsulate", config, request] => {
                let client = ClientRequest::from_encoded_config(&unhex(config)?)?;
                let (capsule, reader) = client.encapsulate(&unhex(request)?)?;
                self.response_reader = Some(reader);
                Ok(hex(&capsule))
            }
            ["open", response] => {
                let reader = self.response_reader.take().ok_or("nothing was encapsulated")?;
                Ok(hex(&reader.decapsulate(&unhex(response)?)?))
            }
            ["serve", key_id, aead, seed] => {
                let aead = match *aead {
                    "aes-128-gcm" => Aead::Aes128Gcm,
                    _ => Aead::ChaCha20Poly1305,
                };
                let suite = SymmetricSuite::new(Kdf::HkdfSha256, aead);
                let config =
                    KeyConfig::derive(key_id.parse()?, Kem::X25519Sha256, vec![suite], &unhex(seed)?)?;
                let server = Server::new(config)?;
                let encoded = server.config().encode()?;
                self.server = Some(server);
                Ok(hex(&encoded))
            }
            ["decapsulate", capsule] => {
                let server = self.server.as_ref().ok_or("no server")?;
                let (request, writer) = server.decapsulate(&unhex(capsule)?)?;
                self.response_writer = Some(writer);
                Ok(hex(&request))
            }
            ["seal", response] => {
                let writer = self.response_writer.take().ok_or("nothing was decapsulated")?;
                Ok(hex(&writer.encapsulate(&unhex(response)?)?))
            }
            ["known", message] => rewrite(message, Mode::KnownLength),
            ["indeterminate", message] => rewrite(message, Mode::IndeterminateLength),
            _ => Err("no such command".into()),
        }
    }
}

fn main() {
    ohttp::init();
    let mut peer = Peer::default();
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        match peer.answer(&line) {
            Ok(answer) => println!("ok {answer}"),
            Err(failure) => println!("error {failure:?}"),
        }
        io::stdout().flush().expect("standard output is open");
    }
}
