// A store that forgets everything when the process ends: for tests, and for trying things out.

import type { Clock, Random } from "#host/world.ts";
import type { Store } from "#resources/store.ts";
import { groupedStore } from "#store/grouped.ts";

export const memoryStore = (clock: Pick<Clock, "now">, random: Pick<Random, "uuid">): Store =>
  groupedStore({ id: random.uuid(), revision: 0, resources: [], append: () => {}, close: () => {} }, clock.now);
