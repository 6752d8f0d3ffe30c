import { test } from "node:test";
import { times } from "../lab/soak.ts";
import { inNamespace } from "../names/namespace.ts";

test("A24: a mesh is switched between services by tag and MeshServices, and back, under load", () =>
  inNamespace("../scenarios/a24-service-modes.ts", times(150_000, 900_000)));
