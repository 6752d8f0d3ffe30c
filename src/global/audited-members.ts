// Who was let in as a zone, and who tried, for the audit log.

import type { AuditLog } from "#host/audit-log.ts";
import type { RefusalRecord } from "#host/refusal-record.ts";
import type { CallInfo } from "#host/world.ts";
import type { Members } from "#kds/members.ts";

export function auditedMembers(members: Members, audit: Pick<AuditLog, "accepted">, refusals: RefusalRecord): Members {
  const asked = (zone: string, call: CallInfo, verb: string) => ({
    ...{ who: { zone }, from: call.peer, verb, what: { service: call.path } },
  });
  const whyOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
  return {
    check(zone, call) {
      try {
        members.check(zone, call);
      } catch (error) {
        void refusals.attempt({ ...asked(zone, call, "call"), why: whyOf(error) });
        throw error;
      }
    },
    async certify(zone, ask, call) {
      const entry = asked(zone, call, ask.token === undefined ? "renew" : "join");
      try {
        return await members.certify(zone, ask, call, () => audit.accepted([entry]));
      } catch (error) {
        await refusals.attempt({ ...entry, why: whyOf(error) });
        throw error;
      }
    },
    async intermediate(zone, ask, call) {
      const { mesh, backend } = ask;
      const entry = { ...asked(zone, call, "issue"), what: { kind: "intermediate authority", mesh, name: backend } };
      try {
        await audit.accepted([entry]);
        return await members.intermediate(zone, ask, call);
      } catch (error) {
        await refusals.attempt({ ...entry, why: whyOf(error) });
        throw error;
      }
    },
  };
}
