// One question, answered: what Envoy has in its table is the mesh's, all else is asked of the machine's resolvers (decision 16).

import { type Answer, type DecodedPacket, decode, encode, type Packet, type Question } from "dns-packet";

export interface DnsSources {
  /** Envoy's DNS listener, which knows names in lower case. */
  ofMesh(message: Buffer): Promise<Buffer>;
  /** The machine's resolvers. */
  ofOthers(message: Buffer): Promise<Buffer>;
}

/** Seconds. An address that a name has no more is used no longer; Envoy's own says 30, the least that it takes. */
export const ttl = 5;

const headerBytes = 12;
const flag = { response: 0x8000, authoritative: 0x400, asked: 0x100, recursion: 0x80, opcode: 0x7800 };
const rcode = { malformed: 1, failed: 2 };

/** `undefined`: what is no question gets no answer. */
export async function dnsAnswer(message: Buffer, { ofMesh, ofOthers }: DnsSources): Promise<Buffer | undefined> {
  if (message.length < headerBytes || (message.readUInt16BE(2) & flag.response) !== 0) return undefined;
  const query = decoded(message);
  if (!query) return refusal(message, rcode.malformed);
  const [question, ...more] = query.questions ?? [];
  const isPlain = (message.readUInt16BE(2) & flag.opcode) === 0;
  try {
    const found = isPlain && question && more.length === 0 && (question.class ?? "IN") === "IN";
    return (found && (await answerOfMesh(query, question, ofMesh))) || (await ofOthers(message));
  } catch {
    // Nobody can be asked. Who asked tries again; an answer that says there is no such name would be believed.
    return refusal(message, rcode.failed);
  }
}

/** `undefined`: the mesh has no such name. */
async function answerOfMesh(query: DecodedPacket, question: Question, ofMesh: DnsSources["ofMesh"]) {
  // What has an IPv4 address is the mesh's, whatever else is asked of it: others must not be asked, who would say that there is no
  // such name.
  const ask = async (type: "A" | "AAAA"): Promise<readonly Answer[]> => {
    const asked: Packet = { type: "query", id: 0, questions: [{ type, name: question.name.toLowerCase() }] };
    return decoded(await ofMesh(encode(asked)))?.answers ?? [];
  };
  const { type } = question;
  const answers = type === "A" || type === "AAAA" ? await ask(type) : [];
  if (answers.length === 0 && (type === "A" || (await ask("A")).length === 0)) return undefined;
  const header = flag.authoritative | flag.recursion | (query.flag_rd ? flag.asked : 0);
  return encode({
    ...{ type: "response", id: query.id ?? 0, flags: header, questions: [question] },
    answers: answers.map((one) => ({ ...one, name: question.name, ttl }) as Answer),
  });
}

function decoded(message: Buffer): DecodedPacket | undefined {
  try {
    return decode(message);
  } catch {
    return undefined;
  }
}

/** With the question's id and nothing else. */
function refusal(message: Buffer, code: number): Buffer {
  const answer = Buffer.alloc(headerBytes);
  message.copy(answer, 0, 0, 2);
  const asked = message.readUInt16BE(2) & (flag.opcode | flag.asked);
  answer.writeUInt16BE(flag.response | flag.recursion | asked | code, 2);
  return answer;
}
