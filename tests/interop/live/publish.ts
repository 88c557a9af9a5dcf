import { netClient } from "./clients.ts";

// A publisher in a process of its own, for tests in which it loses its relay: node publish.ts URL PATH FRAME...

const [url, path, ...frames] = process.argv.slice(2);
const client = await netClient()(new URL(url!));
client.publish(path!, (track) => track.group(...frames));
process.on("disconnect", () => process.exit(0));
