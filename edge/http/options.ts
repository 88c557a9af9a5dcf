import { bytes, duration, flag, integer, list, text } from "#core/options.ts";

/** What an operator may set for the public listener. */
export const httpOptions = {
  bind: text({
    default: "127.0.0.1",
    short: "b",
    doc: "Address to listen on. `0.0.0.0` or `::` opens the relay to others. Ignored where the service manager passes a listening socket (LISTEN_FDS).",
    allowed: "an IP address or host name",
  }),
  port: integer({
    default: 8080,
    atMost: 65_535,
    short: "p",
    doc: "Port to listen on; 0 takes a free one, which the ready line names.",
  }),
  listen: text({
    default: undefined,
    doc: "HOST:PORT in one, wins over `bind` and `port`. An address that is open to others needs `tls-verified` or a certificate here.",
    pattern: /^.+:\d{1,5}$/,
    allowed: "HOST:PORT",
    also: {
      flags: ["server-bind"],
      env: ["RELAY_LISTEN_ADDR", "MOQ_SERVER_BIND", "MOQ_LISTEN"],
      toml: ["server.bind", "server.listen"],
    },
  }),
  tlsVerified: flag({
    default: false,
    doc: "A proxy in front ends TLS: lets `listen` be open to others without a certificate here.",
    also: { env: ["RELAY_TLS_VERIFIED"] },
  }),
  cors: list({
    default: ["mirror"],
    doc: "Who may use the relay from a web page: `mirror` allows every origin, `off` leaves it to a proxy, else the origins themselves, joined by commas. There are no cookies and ids are the secret, so every origin is safe.",
    pattern: /^(mirror|off|null|https?:\/\/[^/\s]+)$/,
    allowed: "mirror, off, or origins such as https://app.example joined by commas",
  }),
  corsAllowAll: flag({
    default: false,
    doc: "The original's flag: the same as `--cors mirror`, which is the default.",
  }),
  trustedProxies: list({
    default: [],
    doc: "Addresses or networks of proxies in front whose `X-Forwarded-For` is believed: `127.0.0.1`, `10.0.0.0/8`. Without it every client of a proxy looks like the proxy.",
    pattern: /^[0-9a-fA-F.:]+(\/\d{1,3})?$/,
    allowed: "IP addresses or networks joined by commas",
  }),
  rateLimit: integer({
    default: 0,
    atMost: 1_000_000,
    doc: "Requests a minute for one client address (IPv6: one /64); 0 sets no limit. Over it: 429 with `Retry-After`.",
  }),
  rateBurst: integer({
    default: 60,
    atLeast: 1,
    atMost: 1_000_000,
    doc: "Requests one client may make at once before `rate-limit` holds it back.",
  }),
  maxConnections: integer({
    default: 100_000,
    atLeast: 1,
    also: { env: ["RELAY_MAX_CONNECTIONS"] },
    doc: "Connections open at once; more are closed unanswered. The operating system's limit on open files must allow it.",
  }),
  maxHeaderBytes: bytes({
    default: 16 * 1024,
    atLeast: 1024,
    atMost: 1024 * 1024,
    doc: "Largest request line and headers together. More is answered 431.",
  }),
  headerTimeoutMs: duration({
    default: "10s",
    atLeast: "100ms",
    atMost: "10m",
    doc: "How long a client may take to send a request's headers.",
  }),
  bodyTimeoutMs: duration({
    default: "10s",
    atLeast: "100ms",
    atMost: "1h",
    doc: "How long a client may take to send a request's body. Over it: 408.",
  }),
  idleTimeoutMs: duration({
    default: "75s",
    atLeast: "1s",
    atMost: "1h",
    also: { env: ["RELAY_IDLE_TIMEOUT"] },
    doc: "How long a connection without a request is kept. Longer than the proxy in front keeps it.",
  }),
  tlsCert: list({
    default: [],
    doc: "PEM file of the certificate chain. With `tls-key` the relay speaks HTTPS and HTTP/2; both are read again when they change, and on SIGUSR1 or SIGHUP. Several files, with as many keys in the same order, serve several hosts: the first is for clients that name none of them.",
    allowed: "file names joined by commas",
    also: {
      flags: ["server-tls-cert", "listen-tls-cert"],
      env: ["MOQ_SERVER_TLS_CERT", "MOQ_LISTEN_TLS_CERT"],
      toml: ["server.tls.cert", "listen.tls.cert"],
    },
  }),
  serverTlsRoot: list({
    default: [],
    doc: "PEM files of authorities whose client certificates are trusted. A client may show one; who does gets all of live below the path of its URL, until the certificate expires.",
    allowed: "file names joined by commas",
    also: {
      flags: ["web-https-root", "listen-tls-root"],
      env: ["MOQ_SERVER_TLS_ROOT", "MOQ_WEB_HTTPS_ROOT", "MOQ_LISTEN_TLS_ROOT"],
      toml: ["server.tls.root", "web.https.root", "listen.tls.root"],
    },
  }),
  tlsKey: list({
    default: [],
    doc: "PEM file of the certificate's private key.",
    allowed: "file names joined by commas",
    also: {
      flags: ["server-tls-key", "listen-tls-key"],
      env: ["MOQ_SERVER_TLS_KEY", "MOQ_LISTEN_TLS_KEY"],
      toml: ["server.tls.key", "listen.tls.key"],
    },
  }),
  tlsGenerate: list({
    default: [],
    doc: "Host names and IP addresses for a certificate that the relay makes itself, for development: browsers reach live over WebTransport by its hash, which `/certificate.sha256` tells. Plain HTTP stays plain HTTP. Key and certificate are kept in `development-tls.pem` beside the database, and the certificate is made anew every 6 days.",
    pattern: /^[A-Za-z0-9*._:-]+$/,
    allowed: "host names and IP addresses joined by commas",
    also: {
      flags: ["server-tls-generate", "listen-tls-generate"],
      env: ["MOQ_SERVER_TLS_GENERATE", "MOQ_LISTEN_TLS_GENERATE"],
      toml: ["server.tls.generate", "listen.tls.generate"],
    },
  }),
  webHttpListen: text({
    default: undefined,
    doc: "HOST:PORT of one more listener, always plain HTTP. If it is the public listener's own address, that one speaks plain HTTP although there is a certificate.",
    pattern: /^.+:\d{1,5}$/,
    allowed: "HOST:PORT",
    also: { env: ["MOQ_WEB_HTTP_LISTEN"], toml: ["web.http.listen"] },
  }),
  webHttpsListen: text({
    default: undefined,
    doc: "HOST:PORT of one more listener, always HTTPS, with the certificate of `tls-cert` or `tls-generate`. If it is the public listener's own address, that one speaks HTTPS.",
    pattern: /^.+:\d{1,5}$/,
    allowed: "HOST:PORT",
    also: { env: ["MOQ_WEB_HTTPS_LISTEN"], toml: ["web.https.listen"] },
  }),
};
