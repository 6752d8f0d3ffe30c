import assert from "node:assert/strict";
import { test } from "node:test";
import { openMetrics } from "#host/metrics.ts";
import { refusalsOfLinks, troubleMetrics } from "#kds/trouble-metrics.ts";
import type { LinkView } from "#resources/links.ts";

test("what is refused is counted by kind and reason, as it is when somebody scrapes", async () => {
  const refused = (kind: string, where: LinkView["refused"][number]["where"]) => ({
    ...{ kind, mesh: "default", name: "it", where, why: "no", since: 0 },
  });
  const links: LinkView[] = [
    { peer: "a", held: [], heldSince: undefined, refused: [refused("Secret", "too large"), refused("Mesh", "there")] },
    { peer: "b", held: [], heldSince: undefined, refused: [refused("Mesh", "there")], frozenSince: 1 },
  ];
  const metrics = openMetrics();
  troubleMetrics(metrics, {
    refused: () => [...refusalsOfLinks(links), { kind: "cluster", reason: "proxy" }],
    frozenZones: () => links.filter(({ frozenSince }) => frozenSince !== undefined).length,
  });
  const lines = async () => (await metrics.scrape()).text.split("\n").filter((line) => /^kodiak/.test(line));
  assert.deepEqual(await lines(), [
    'kodiak_refused_objects{kind="Secret",reason="too large"} 1',
    'kodiak_refused_objects{kind="Mesh",reason="there"} 2',
    'kodiak_refused_objects{kind="cluster",reason="proxy"} 1',
    "kodiak_frozen_zones 1",
  ]);
  links.length = 0;
  assert.deepEqual(await lines(), ['kodiak_refused_objects{kind="cluster",reason="proxy"} 1', "kodiak_frozen_zones 0"]);
});
