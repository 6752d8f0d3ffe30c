// What the keys of the live screen do, each with the command that does the same from another terminal.

import { allowed, backendsIn, denied, killed, partsUp, started, startZone, stopped } from "#cli/demo/losses.ts";
import { gainOf, type Live, lossText } from "#cli/demo/measure.ts";
import type { Stage } from "#cli/demo/stage.ts";

export const keysLine =
  "  keys  a/b stop or start a backend · k kill · g global · z zone-b · d deny · ? commands · q quit";

export interface Action {
  readonly title: string;
  readonly commands: readonly string[];
  /** Resolves with what was measured. */
  run(): Promise<string>;
}

/** What a key does now; `undefined`: nothing. */
export type Keys = (key: string) => Promise<Action | undefined>;

export function keysOf(live: Live): Keys {
  const { stage } = live;
  let isDenied = false;
  const isUp = (name: string): boolean => stage.parts.get(name)?.state === "up";
  const startCommand = (name: string): string => stage.parts.get(name)?.startCommand ?? "";
  const stopCommand = (name: string): string => stage.parts.get(name)?.stopCommand ?? "";

  const start = (name: string): Action => ({
    title: `${name} started, it answers after`,
    commands: [startCommand(name)],
    run: async () => lossText(await started(live, name)),
  });
  const stop = (name: string): Action => ({
    title: `${name} stopped, others have it all after`,
    commands: [stopCommand(name)],
    run: async () => lossText(await stopped(live, name)),
  });
  const kill = async (title: string, names: readonly string[]): Promise<Action> => {
    const pids = await stage.pids(names);
    const instances = names.filter((name) => name.startsWith("backend-"));
    return {
      title,
      commands: [`kill -9 ${pids.join(" ")}`],
      run: async () => lossText(await killed(live, instances, names, pids)),
    };
  };

  function permission(): Action {
    const api = `--api ${stage.globalApi}`;
    const verdict = isDenied
      ? { title: "allowed on global, 200 in zone-a after", set: allowed }
      : { title: "deny on global, 403 in zone-a after", set: denied };
    const command = isDenied ? "delete meshtrafficpermission deny-backend" : `apply -f ${stage.folder}/deny.yaml`;
    return {
      title: verdict.title,
      commands: [`kodiak ${command} ${api}`],
      async run() {
        const ms = await verdict.set(live);
        isDenied = !isDenied;
        return `${ms} ms`;
      },
    };
  }

  function zoneBack(): Action {
    const down = [...stage.parts.values()].filter(({ zone, state }) => zone === "zone-b" && state !== "up");
    const first = backendsIn(stage, "zone-b")[0]?.name ?? "";
    return {
      title: "zone-b started, zone-a uses it after",
      commands: down.map((part) => part.startCommand),
      run: async () => lossText(await gainOf(live, first, () => startZone(stage, "zone-b"))),
    };
  }

  return async (key) => {
    switch (key) {
      case "a":
        return isUp("backend-1") ? stop("backend-1") : start("backend-1");
      case "b":
        return isUp("backend-2") ? stop("backend-2") : start("backend-2");
      case "k":
        return isUp("backend-3")
          ? kill("backend-3 killed -9 with its Envoy, others have it all after", ["backend-3"])
          : start("backend-3");
      case "g":
        if (isUp("global")) return kill("global killed -9, nothing changes: until the last failed request", ["global"]);
        return {
          title: "global started, ready after",
          commands: [startCommand("global")],
          async run() {
            const begun = performance.now();
            await stage.start("global");
            return `${Math.round(performance.now() - begun)} ms`;
          },
        };
      case "z":
        return isUp("zone-b") ? kill("all of zone-b killed -9, all local after", partsUp(stage, "zone-b")) : zoneBack();
      case "d":
        return permission();
    }
    return undefined;
  };
}

/** Of the live screen. */
export const help = (stage: Stage): readonly string[] => [
  ...otherCommands(stage),
  "  a, b, k, g and z end processes as kill does: kodiak has no command for that",
];

/** For whoever wants to look, or do it otherwise. */
export const otherCommands = ({ folder, globalApi, backendUrl }: Stage): readonly string[] => [
  "  in another terminal, in this checkout:",
  "    alias kodiak='npm run -s kodiak --'",
  `    export KODIAK_API=${globalApi}`,
  `    curl ${backendUrl}/                 a request of the frontend, to a backend in either zone`,
  "    kodiak get dataplanes                        every proxy of both zones",
  "    kodiak get zones",
  "    kodiak get meshtrafficpermissions -o yaml",
  `    ls ${folder}              logs, settings and manifests of all processes`,
];
