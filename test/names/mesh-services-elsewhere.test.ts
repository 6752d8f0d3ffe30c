import { test } from "node:test";
import { inNamespace } from "./namespace.ts";

test("MeshServices of other zones are called through egresses and from gateways", () =>
  inNamespace("mesh-services-elsewhere.ts", 150_000));
