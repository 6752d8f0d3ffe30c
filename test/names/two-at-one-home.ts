// Two services whose addresses would be the same, in mesh `default`. One in some ten thousand names has such a fellow.

import { homeOf } from "#owned/vips.ts";
import { serviceName } from "#topology/vips.ts";

export function twoAtOneHome(): readonly [string, string] {
  const byHome = new Map<number, string>();
  for (let i = 0; ; i++) {
    const home = homeOf("default", serviceName(`s-${i}`));
    const other = byHome.get(home);
    if (other !== undefined) return [other, `s-${i}`];
    byHome.set(home, `s-${i}`);
  }
}
