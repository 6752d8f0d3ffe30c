// The agent's DNS before a resolver that stands for Envoy's listener and one that stands for the machine's. Seen to catch: a name that
// is asked for as it is written, and a type other than A and AAAA that is asked of others.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { type Answer, decode, encode, type Packet, type Question } from "dns-packet";
import { resolverAt, serveDns } from "#agent/dns.ts";
import { askOnce, framed, unframed } from "#agent/dns-ask.ts";
import { freePort } from "#host/free-port.ts";
import { openLog } from "#host/log.ts";
import { realWorld } from "#host/real-world.ts";

const log = openLog("silent");
const { clock } = realWorld({ log });
const localhost = "127.0.0.1";

interface Resolver {
  readonly port: number;
  readonly asked: Question[];
}

/** Over UDP and TCP on one port. Answers what it has as A, nothing at all for `silent.example`, and of the rest that it does not exist. */
async function resolver(t: TestContext, records: Readonly<Record<string, string>>): Promise<Resolver> {
  const asked: Question[] = [];
  const answer = (message: Buffer): Buffer | undefined => {
    const { id, questions = [] } = decode(message);
    const [question] = questions;
    assert.ok(question);
    asked.push(question);
    if (question.name === "silent.example") return undefined;
    const data = records[question.name];
    const isKnown = data !== undefined;
    const answers: Answer[] =
      isKnown && question.type === "A" ? [{ type: "A", name: question.name, ttl: 30, data }] : [];
    const header: Packet = { type: "response", id: id ?? 0, flags: isKnown ? 0x180 : 0x183, questions, answers };
    return encode(header);
  };
  const tcp = createServer((socket) => {
    socket.on("data", (bytes) => {
      const found = answer(unframed(bytes)!.message);
      if (found) socket.write(framed(found));
    });
  });
  const port = await freePort();
  await once(tcp.listen(port, localhost), "listening");
  const udp = createSocket("udp4");
  await once(udp.bind(port, localhost), "listening");
  udp.on("message", (bytes, from) => {
    const found = answer(bytes);
    if (found) udp.send(found, from.port, from.address);
  });
  t.after(() => {
    udp.close();
    tcp.close();
  });
  return { port, asked };
}

async function stage(t: TestContext) {
  const envoy = await resolver(t, { "backend.mesh": "240.1.2.3" });
  const machine = await resolver(t, { "www.example": "192.0.2.1" });
  const dns = await serveDns(
    { port: 0, envoyPort: envoy.port, resolvers: () => [{ address: localhost, port: machine.port }] },
    log,
  );
  t.after(() => dns.close());
  const at = { address: localhost, port: dns.port };
  const ask = async (name: string, type: Question["type"], over: "udp" | "tcp" = "udp") =>
    decode(
      await askOnce(
        at,
        over,
        encode({ type: "query", id: 77, flags: 0x100, questions: [{ type, name }] }),
        clock,
        5_000,
      ),
    );
  return { envoy, machine, dns, at, ask };
}

const codeOf = ({ flags = 0 }: { readonly flags?: number | undefined }): number => flags & 15;

for (const over of ["udp", "tcp"] as const)
  test(`names of the mesh in any letter case, and of others, over ${over}`, async (t) => {
    const { envoy, machine, ask } = await stage(t);
    const own = await ask("Backend.MESH", "A", over);
    assert.deepEqual(
      own.answers?.map((one) => ({ ...one })),
      [{ name: "Backend.MESH", type: "A", ttl: 5, class: "IN", flush: false, data: "240.1.2.3" }],
    );
    assert.equal(own.id, 77);
    assert.deepEqual(
      envoy.asked.map(({ name }) => name),
      ["backend.mesh"],
    );
    const other = await ask("www.example", "A", over);
    assert.deepEqual(
      other.answers?.map((one) => Reflect.get(one, "data")),
      ["192.0.2.1"],
    );
    assert.deepEqual(
      machine.asked.map(({ name }) => name),
      ["www.example"],
    );
    assert.equal(codeOf(await ask("nowhere.mesh", "A", over)), 3, "there is none: the machine's resolvers say so");
  });

test("who asks over IPv6 is answered like others, at the same port", async (t) => {
  const { dns } = await stage(t);
  assert.deepEqual(dns.hosts, [localhost, "::1"]);
  const question = encode({ type: "query", id: 1, questions: [{ type: "A", name: "backend.mesh" }] });
  for (const over of ["udp", "tcp"] as const) {
    const { answers } = decode(await askOnce({ address: "::1", port: dns.port }, over, question, clock, 5_000));
    assert.equal(answers?.length, 1);
  }
});

test("of a name that has an address nothing else is asked of others", async (t) => {
  const { machine, ask } = await stage(t);
  for (const type of ["AAAA", "TXT", "SRV"] as const) {
    const { answers, ...rest } = await ask("backend.mesh", type);
    assert.deepEqual([type, codeOf(rest), answers], [type, 0, []]);
  }
  assert.equal(machine.asked.length, 0);
});

test("what is no question is answered as DNS says, or not at all", async (t) => {
  const { at, ask } = await stage(t);
  const broken = Buffer.alloc(20, 0xff);
  broken.writeUInt16BE(7, 0);
  broken.writeUInt16BE(0x0100, 2);
  const answer = await askOnce(at, "udp", broken, clock, 5_000);
  assert.equal(answer.readUInt16BE(2) & 15, 1);
  // Neither brings the server down: what is asked next is answered.
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  socket.send(Buffer.from("short"), at.port, at.address);
  socket.send(encode({ type: "response", id: 1, questions: [] }), at.port, at.address);
  assert.equal((await ask("backend.mesh", "A")).answers?.length, 1);
});

test("while Envoy is not there, who asks is told to try again", async (t) => {
  const envoyPort = await freePort();
  const dns = await serveDns({ port: 0, envoyPort, resolvers: () => [] }, log);
  t.after(() => dns.close());
  const question = encode({ type: "query", id: 1, questions: [{ type: "A", name: "backend.mesh" }] });
  const answer = decode(await askOnce({ address: localhost, port: dns.port }, "udp", question, clock, 5_000));
  assert.equal(codeOf(answer), 2);
});

test("a port that is taken is said, with the flag that chooses another", async (t) => {
  const { dns } = await stage(t);
  await assert.rejects(serveDns({ port: dns.port, envoyPort: 1, resolvers: () => [] }, log), /in use.*--dns-port/);
});

test("resolvers as Node.js and users write them", () => {
  assert.deepEqual(resolverAt("10.0.0.2"), { address: "10.0.0.2", port: 53 });
  assert.deepEqual(resolverAt("10.0.0.2:5353"), { address: "10.0.0.2", port: 5353 });
  assert.deepEqual(resolverAt("fd00::2"), { address: "fd00::2", port: 53 });
  assert.deepEqual(resolverAt("[fd00::2]:5353"), { address: "fd00::2", port: 5353 });
  assert.equal(resolverAt("a:b:c"), undefined);
});
