import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createVerifier, isPubkyError } from "@postern/pubky";

const port = Number(process.env.PORT ?? 3000);
const config = {
  relay: process.env.RELAY ?? "http://localhost:8080/inbox",
  // Name your own application here: it is what makes a token yours and nobody else's.
  capabilities: "/pub/my-app.example/:rw",
};

// Accepts each token once, and only tokens that were given to this application.
const verifier = createVerifier({ capabilities: config.capabilities });
const sessions = new Map();

const routes = {
  "GET /": async () => file("index.html", "text/html; charset=utf-8"),
  "GET /page.js": async () => file("dist/page.js", "text/javascript"),
  "GET /config": async () => Response.json(config),

  "POST /session": async (request, body) => {
    // Only our own page may bring a token: another site must not sign its visitors in here.
    if (request.headers.origin !== `http://${request.headers.host}`)
      return new Response(null, { status: 403 });
    const { publicKey } = await verifier.verify(body);
    const id = randomBytes(32).toString("base64url");
    sessions.set(id, { pubky: publicKey.z32 });
    // Behind TLS, add "; Secure".
    const cookie = `session=${id}; Path=/; HttpOnly; SameSite=Strict; Max-Age=86400`;
    return Response.json(sessions.get(id), { status: 201, headers: { "set-cookie": cookie } });
  },

  "GET /session": async (request) => {
    const session = sessions.get(sessionId(request));
    return session ? Response.json(session) : new Response(null, { status: 401 });
  },

  "DELETE /session": async (request) => {
    sessions.delete(sessionId(request));
    return new Response(null, { status: 204 });
  },
};

const sessionId = (request) => /(?:^|; )session=([\w-]+)/.exec(request.headers.cookie ?? "")?.[1];

async function file(name, type) {
  const content = await readFile(new URL(name, import.meta.url));
  return new Response(content, { headers: { "content-type": type } });
}

async function bodyOf(request, maxBytes = 16_384) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > maxBytes) return new Uint8Array(0);
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

async function answer(request) {
  try {
    const route = routes[`${request.method} ${request.url}`];
    return route ? await route(request, await bodyOf(request)) : new Response(null, { status: 404 });
  } catch (error) {
    if (isPubkyError(error))
      return Response.json({ code: error.code, message: error.message }, { status: 401 });
    console.error(error);
    return new Response(null, { status: 500 });
  }
}

const server = createServer(async (request, response) => {
  const { status, headers, body } = await answer(request);
  response.writeHead(status, Object.fromEntries(headers));
  for await (const chunk of body ?? []) response.write(chunk);
  response.end();
});
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
