import { connectLive, type LiveOptions } from "#clients/client/src/live.ts";

// Runs in the browser: the live client, as the test asks for it by name.

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

const page = {
  /** Publishes counting frames, five a group, until the tab closes. */
  async publish(url: string, path: string, options: LiveOptions) {
    const session = await connectLive(url, options);
    const track = session.publish(path).track("count");
    void (async () => {
      await track.whenWanted();
      for (let number = 0; ; ) {
        const group = track.group();
        for (let frame = 0; frame < 5; frame++) {
          group.write(String(number++));
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }
    })();
    return session.connection;
  },

  /** The frames of the next `count` groups, and what they came over. */
  async watch(url: string, path: string, count: number, options: LiveOptions) {
    const session = await connectLive(url, options);
    const groups: string[][] = [];
    for await (const group of session.subscribe(path, "count", { follow: true, ordered: true })) {
      const frames: string[] = [];
      for await (const { payload } of group) frames.push(decode(payload));
      if (group.state === "complete") groups.push(frames);
      if (groups.length === count) break;
    }
    session.close();
    return { ...session.connection, groups };
  },

  /** How an attempt to connect fails. */
  async refusal(url: string, options: LiveOptions) {
    try {
      await connectLive(url, options);
      return undefined;
    } catch (error) {
      const { code, details } = error as { code: string; details: object };
      return { code, ...details };
    }
  },

  /** Why the session ended. */
  async untilClosed(url: string, options: LiveOptions) {
    const session = await connectLive(url, options);
    Object.assign(window, { connected: true });
    return session.closed;
  },
};

Object.assign(window, { page });
export type ClientPage = typeof page;
