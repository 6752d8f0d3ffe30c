// Where ingresses and egresses of this zone lead to, as their Envoys have acknowledged it: others are told of a way when it is there.

import type { Collection, Source } from "#incremental/collection.ts";
import { type Bundle, bundlesOf, type ProxyConfig } from "#proxy/bundle.ts";
import { keyOf, type ResourceId } from "#resources/resource.ts";
import type { Ways } from "#topology/egress.ts";
import { everyService } from "#topology/provider.ts";
import { isHeld, type Session } from "#xds/session.ts";

export interface LeadsOptions {
  /** What they should lead to, and with what, by name. */
  readonly configs: {
    readonly ingressServices: Collection<readonly string[]>;
    readonly ingressListeners: Collection<Bundle>;
    readonly egressWays: Collection<Ways>;
    readonly egresses: Collection<ProxyConfig>;
  };
  /** What they do, by name; of one that goes on with what it had, `everyService` until it has said something. */
  readonly services: Source<readonly string[]>;
  readonly ways: Source<Ways>;
}

export interface Leads {
  /** After a message of its Envoy. Whether something is known that was not. */
  progress(id: ResourceId, session: Pick<Session, "versionHeld">): boolean;
  /** Its Envoy goes on with what it had from a control plane whose store was lost. */
  returns(id: ResourceId): void;
  /** One that is refused leads nowhere, whoever wrote it. */
  refused(id: ResourceId): void;
  /** Its resource was deleted: one that comes under its name has said nothing yet. Whether something was known of it. */
  removed(id: ResourceId): boolean;
}

const everything: readonly string[] = [everyService];

export function leads({ configs, services, ways }: LeadsOptions): Leads {
  const { ingressServices, ingressListeners, egressWays, egresses } = configs;
  return {
    progress(id, session) {
      const key = keyOf(id);
      switch (id.kind) {
        case "ZoneIngress": {
          const wanted = ingressServices.get(key);
          const known = services.get(key);
          if (wanted === known || wanted === undefined) return false;
          // What it had leads somewhere whether or not it takes what is new.
          if (known !== everything && !isHeld(session, ingressListeners.get(key))) return false;
          services.set(key, wanted);
          return true;
        }
        case "ZoneEgress": {
          const wanted = egressWays.get(key);
          const config = egresses.get(key);
          if (wanted === ways.get(key) || !config) return false;
          // Of a zone it is the endpoints that say where it is.
          if (!bundlesOf(config).every(({ from, key: bundle }) => isHeld(session, from.get(bundle)))) return false;
          ways.set(key, wanted);
          return true;
        }
      }
      return false;
    },
    returns(id) {
      if (id.kind === "ZoneIngress") services.set(keyOf(id), everything);
    },
    refused(id) {
      if (id.kind === "ZoneIngress") services.set(keyOf(id), []);
    },
    removed(id) {
      const key = keyOf(id);
      const known = id.kind === "ZoneIngress" ? services : id.kind === "ZoneEgress" ? ways : undefined;
      if (known?.get(key) === undefined) return false;
      known.set(key, undefined);
      return true;
    },
  };
}
