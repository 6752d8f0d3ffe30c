// What a zone's configuration is made from: its resources, and what its shell knows beside them.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { Collection } from "#incremental/collection.ts";
import type { IssuedCertificate } from "#proxy/secrets.ts";
import type { Resource } from "#resources/resource.ts";
import type { Ways } from "#topology/egress.ts";
import type { NodeFacts } from "#topology/node.ts";
import type { Mark } from "#topology/provider.ts";

export interface Sources {
  of<Spec>(kind: string): Collection<Resource<Spec>>;
  /** Issued by the shell for what `owned/wanted-certificate.ts` wants, by key of the Dataplane. */
  readonly certificates: Collection<IssuedCertificate>;
  /** Proxies that do not serve yet, by key of the Dataplane. */
  readonly marked: Collection<Mark>;
  /** What Dataplanes have just ceased to provide, as `departedFrom`; no key is that of a Dataplane. */
  readonly departed: Collection<Resource<DataplaneJson>>;
  /** Proxies whose Envoys have the listener that leads to egresses, by key of the Dataplane; absent: none has. */
  readonly internalListeners?: Collection<true>;
  /** What Envoys of egresses have acknowledged to lead to, by name; absent: nothing said yet. */
  readonly egressWays?: Collection<Ways>;
  /** Zones that are to be left to those whom nobody else serves (decision 27); absent: none. */
  readonly silent?: Collection<true>;
  /** What agents say of themselves, by key of the Dataplane; absent: nothing. */
  readonly nodes?: Collection<NodeFacts>;
}
