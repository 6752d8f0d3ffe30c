import { test } from "node:test";
import { inNamespace } from "./namespace.ts";

test("a service of another zone is called by its name, by an application that knows nothing of proxies", () =>
  inNamespace("called-by-name.ts", 120_000));
