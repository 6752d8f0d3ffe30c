import { test } from "node:test";
import { inNamespace } from "./namespace.ts";

test("services of zones are resources, and are called as such", () => inNamespace("mesh-services.ts", 150_000));
