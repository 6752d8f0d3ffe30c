// A thread that makes and sends inputs: the test's own goes on with the well-behaved client meanwhile, and Node's test runner
// makes each promise of its thread several times as costly.

import { parentPort, workerData } from "node:worker_threads";
import type { Identity } from "#host/world.ts";
import { chance } from "../simulation/random.ts";
import { apiInputs, diagnosticsInputs, userInputs } from "./api-inputs.ts";
import { bootstrapInputs } from "./bootstrap-inputs.ts";
import type { Facts } from "./facts.ts";
import { adsInputs, healthInputs, isForgedTaken, kdsInputs, tokenInputs } from "./grpc-inputs.ts";
import type { Input } from "./inputs.ts";
import type { Make } from "./made.ts";
import { type Answered, type Protocol, sender, usualLanes } from "./sending.ts";

/** What is sent. */
export type Inputs =
  | "bootstrap"
  | "ads"
  | "health"
  | "tokens"
  | "api"
  | "api as user"
  | "diagnostics"
  | "kds"
  | "kds as zones";

/** What the thread is told. */
export interface Sending {
  readonly port: number;
  readonly protocol: Protocol;
  readonly inputs: Inputs;
  readonly facts: Facts;
  readonly seed: number;
  readonly count: number;
  /** What lanes show; as many lanes as there are. */
  readonly identities?: readonly Identity[];
}

/** What it tells as it begins, now and then, and at its end. */
export interface Sent {
  readonly sent: number;
  /** How many answers of each kind there were. */
  readonly answers: ReadonlyMap<string, number>;
}

const toldEvery = 500;

const makeOf: Readonly<Record<Inputs, (facts: Facts) => Make<Input> | Promise<Make<Input>>>> = {
  bootstrap: bootstrapInputs,
  ads: adsInputs,
  health: healthInputs,
  tokens: tokenInputs,
  api: () => apiInputs,
  "api as user": userInputs,
  diagnostics: () => diagnosticsInputs,
  kds: () => kdsInputs(false),
  "kds as zones": () => kdsInputs(true),
};

async function sendAll({ port, protocol, inputs, facts, seed, count, identities }: Sending): Promise<void> {
  const make = await makeOf[inputs](facts);
  const wrong = inputs === "tokens" ? isForgedTaken(facts) : () => undefined;
  const of = chance(seed);
  const { send, close } = sender(port, protocol, identities);
  const answers = new Map<string, number>();
  let begun = 0;
  let sent = 0;

  async function sendOne(input: Input, lane: number): Promise<void> {
    const answered = await send(input, lane).catch((error) => {
      throw new Error(`${error.message}: ${shown(input)}`, { cause: error });
    });
    if (!answered) {
      begun--;
      return;
    }
    const { grpcStatus, status } = answered;
    const word = grpcStatus === "" ? `${input.kind} ${status}` : `grpc ${grpcStatus}`;
    answers.set(word, (answers.get(word) ?? 0) + 1);
    const why = wrongWithAny(answered) ?? wrong(input, answered);
    if (why !== undefined) throw new Error(`${why}: ${shown(input)}`);
    if (++sent % toldEvery === 0) tell();
  }
  const tell = (): void => parentPort?.postMessage({ sent, answers } satisfies Sent);
  tell();
  await Promise.all(
    Array.from({ length: identities?.length ?? usualLanes }, async (_, lane) => {
      while (begun < count) {
        begun++;
        await sendOne(make(of), lane);
      }
    }),
  );
  close();
  tell();
}

/** gRPC's libraries say `internal` of what breaks gRPC's own rules, and Kuma `unknown` of who is refused; ours say why. */
const toldInternal =
  /^(a compressed message on a stream with|a message is not valid gzip|the peer ended the stream within|a unary call with)/;

function wrongWithAny({ status, grpcStatus, message }: Answered): string | undefined {
  // Of a key that is not known yet: ask again.
  if (status >= 500 && status !== 503) return `status ${status}`;
  if (grpcStatus === "13" && !toldInternal.test(message)) return `internal: ${message}`;
  return grpcStatus === "2" && /\b\w*Error\b/.test(message) ? `unknown: ${message}` : undefined;
}

const shown = (input: Input): string =>
  JSON.stringify(input, (_, value) =>
    value?.type === "Buffer" ? Buffer.from(value.data).subarray(0, 2_000).toString("latin1") : value,
  );

// Node makes an error of each stream that a server resets; what an input shows is said without a stack.
Error.stackTraceLimit = 0;
await sendAll(workerData);
