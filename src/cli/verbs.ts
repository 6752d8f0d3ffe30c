// The verbs of `kodiak`, in the order of its help.

import { applyVerb } from "#cli/apply.ts";
import { deleteVerb } from "#cli/delete.ts";
import { demoAppVerb, demoVerb } from "#cli/demo.ts";
import { describeMeshVerb } from "#cli/describe-mesh.ts";
import { getVerb } from "#cli/get.ts";
import { installEnvoyVerb } from "#cli/install-envoy.ts";
import { runGlobalVerb } from "#cli/run-global.ts";
import { runEgressVerb, runIngressVerb, runProxyVerb } from "#cli/run-proxy.ts";
import { runZoneVerb } from "#cli/run-zone.ts";
import { dataplaneTokenVerb, joinTokenVerb, userTokenVerb, zoneTokenVerb } from "#cli/token.ts";
import { tokenKeyVerb } from "#cli/token-key.ts";
import { installTransparentProxyVerb, uninstallTransparentProxyVerb } from "#cli/transparent-proxy.ts";
import type { Verb } from "#cli/verb.ts";
import { zoneAcceptVerb } from "#cli/zone-accept.ts";
import { zoneForgetVerb, zoneRevokeVerb } from "#cli/zone-certificate.ts";
import { zoneDrainVerb, zoneRestoreVerb } from "#cli/zone-drain.ts";

export const verbs: readonly Verb[] = [
  demoVerb,
  runGlobalVerb,
  runZoneVerb,
  runProxyVerb,
  runIngressVerb,
  runEgressVerb,
  applyVerb,
  getVerb,
  describeMeshVerb,
  deleteVerb,
  zoneAcceptVerb,
  zoneDrainVerb,
  zoneRestoreVerb,
  zoneRevokeVerb,
  zoneForgetVerb,
  dataplaneTokenVerb,
  zoneTokenVerb,
  joinTokenVerb,
  userTokenVerb,
  tokenKeyVerb,
  installEnvoyVerb,
  installTransparentProxyVerb,
  uninstallTransparentProxyVerb,
  demoAppVerb,
];
