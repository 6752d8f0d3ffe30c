// This machine's resolvers, as /etc/resolv.conf says at the time: a machine that comes to another network gets others. The kernel tells of changes.

import { type FSWatcher, readFileSync, realpathSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { resolverAddressesIn } from "#agent/redirection/redirection.ts";
import type { Log } from "#host/log.ts";
import type { HostPort } from "#lib/address.ts";

export interface Resolvers {
  /** In the order in which they are asked. */
  current(): readonly HostPort[];
  close(): void;
}

/** While `path` cannot be read, those are used that were read last; before that this machine is asked, as resolv.conf(5) says. */
export function machineResolvers(log: Log, path = "/etc/resolv.conf"): Resolvers {
  let watchers: readonly FSWatcher[] = [];
  let read = resolversIn("");
  const closeAll = () => {
    for (const one of watchers) one.close();
  };

  /** Before it is read, so that no change falls between. */
  function look(): void {
    closeAll();
    watchers = placesOf(path).flatMap((place) => {
      try {
        return [watched(place)];
      } catch (error) {
        log.warn({ err: error }, `changes of ${place} will not be noticed`);
        return [];
      }
    });
    try {
      read = resolversIn(readFileSync(path, "utf8"));
    } catch (error) {
      log.warn({ err: error }, `the resolvers in ${path} cannot be read; those that were known are asked`);
    }
  }

  function watched(place: string): FSWatcher {
    const names = new Set([basename(path), basename(place)]);
    // A folder tells of all that is in it; a file may be replaced by another of its name, which has to be watched anew.
    const watcher = watch(place, (_, name) => {
      if (name === null || names.has(name)) look();
    });
    return watcher
      .on("error", (error) => log.warn({ err: error }, `changes of ${place} are not noticed any more`))
      .unref();
  }

  look();
  return { current: () => read, close: closeAll };
}

/** The file may be a link into another folder, or mounted from one. */
function placesOf(path: string): readonly string[] {
  let real = path;
  try {
    real = realpathSync(path);
  } catch {
    // It is not there yet, and its folder tells when it is.
    return [dirname(path)];
  }
  return [...new Set([dirname(path), dirname(real), real])];
}

const resolversIn = (text: string): readonly HostPort[] =>
  resolverAddressesIn(text).map((address) => ({ address, port: 53 }));
