import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { blobOverheadBytes } from "#store/contract/mailbox-store.ts";
import { type HeldGroup, MailboxBounds } from "./mailbox-bounds.ts";

const nameOf = (group: string, n: number) => group + n.toString(16).padStart(60, "0");

/** After what was read is known. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** What is on disk: sizes by mailbox. */
class Disk {
  readonly mailboxes = new Map<string, number[]>();
  reads = 0;
  fails = false;

  readonly readBucket = async (bucket: number): Promise<HeldGroup[]> => {
    if (this.fails) throw new Error("no disk");
    this.reads++;
    const groups = new Map<number, HeldGroup>();
    for (const [name, sizes] of this.mailboxes) {
      if (Number.parseInt(name.slice(0, 2), 16) !== bucket) continue;
      const group = Number.parseInt(name.slice(2, 4), 16);
      const before = groups.get(group) ?? { group, blobs: 0, bytes: 0 };
      const bytes = sizes.reduce((sum, size) => sum + size + blobOverheadBytes, before.bytes);
      groups.set(group, { group, blobs: before.blobs + sizes.length, bytes });
    }
    return [...groups.values()];
  };

  add(name: string, size: number): void {
    const sizes = this.mailboxes.get(name);
    if (sizes) sizes.push(size);
    else this.mailboxes.set(name, [size]);
  }

  held(name: string) {
    const sizes = this.mailboxes.get(name) ?? [];
    return {
      blobs: sizes.length,
      bytes: sizes.reduce((sum, size) => sum + size + blobOverheadBytes, 0),
    };
  }
}

test("no mailbox ever holds more than its bound, whatever comes, goes and is read again in between", async () => {
  const name = fc
    .tuple(fc.constantFrom("0000", "0001", "00ff", "ff00", "ffff"), fc.nat(2))
    .map(([group, n]) => nameOf(group, n));
  const step = fc.oneof(
    fc.record({ kind: fc.constant("add" as const), name, size: fc.nat(500) }),
    fc.record({ kind: fc.constantFrom("go" as const, "loose" as const, "settle" as const), name }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const disk = new Disk();
      const bounds = new MailboxBounds(disk.readBucket);
      for (const { kind, name, ...rest } of steps) {
        if (kind === "add") {
          const { size } = rest as { size: number };
          disk.add(name, size);
          bounds.add(name, size);
        } else if (kind === "go") disk.mailboxes.get(name)?.shift();
        else if (kind === "loose") bounds.loose(name);
        else await settled();
        const [bound, held] = [bounds.of(name), disk.held(name)];
        assert.ok(!bound || (bound.blobs >= held.blobs && bound.bytes >= held.bytes));
      }
    }),
  );
});

test("a bound that does not help is found anew once much has come, and is exact then", async () => {
  const disk = new Disk();
  const bounds = new MailboxBounds(disk.readBucket);
  const [ours, theirs] = [nameOf("abcd", 1), nameOf("abcd", 2)];
  assert.equal(bounds.of(ours), undefined);
  await settled();
  assert.deepEqual(bounds.of(ours), { blobs: 0, bytes: 0 });
  for (let n = 0; n < 1000; n++) bounds.add(theirs, 10);
  disk.add(ours, 7);
  bounds.add(ours, 7);
  assert.equal(bounds.of(ours)?.blobs, 1001);
  assert.equal(disk.reads, 1);
  bounds.loose(ours);
  bounds.of(ours);
  await settled();
  assert.deepEqual(bounds.of(ours), { blobs: 1, bytes: 7 + blobOverheadBytes });
  bounds.loose(ours);
  bounds.of(ours);
  assert.equal(disk.reads, 2, "nothing came since: reading again would tell the same");
});

test("what comes while a bucket is read is in its bound, and a reading that fails is done again", async () => {
  const disk = new Disk();
  const bounds = new MailboxBounds(disk.readBucket);
  const name = nameOf("0102", 1);
  disk.fails = true;
  bounds.of(name);
  await settled();
  disk.fails = false;
  disk.add(name, 5);
  assert.equal(bounds.of(name), undefined);
  disk.add(name, 6);
  bounds.add(name, 6);
  await settled();
  assert.deepEqual(bounds.of(name), { blobs: 2, bytes: 11 + 2 * blobOverheadBytes });
});
