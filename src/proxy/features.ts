// What proxies say of themselves in `features` (interop 6.5), beyond what Kuma's know.

/** It announces that it leaves (`POST /leave`). Of one that does not, Envoy's own health is watched: one that drains says so there. */
export const announcesLeaving = "feature-kodiak-announces-leaving";
