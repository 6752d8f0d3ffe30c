import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { hostname, networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { fingerprintOf } from "#identity/pem.ts";
import { loadOrCreateServerCertificate, type ServerCertificate, serverNames } from "#identity/server-certificate.ts";
import { KodiakError } from "#lib/failure.ts";

const run = promisify(execFile);
const bind = "127.0.0.9";

let folder: string;
let made: ServerCertificate;
before(async () => {
  folder = join(await mkdtemp(join(tmpdir(), "kodiak-server-certificate-")), "state", "tls");
  made = await loadOrCreateServerCertificate(folder, serverNames([bind, "0.0.0.0"]), Date.now());
});
after(() => rm(join(folder, "..", ".."), { recursive: true }));

describe("a control plane's own certificate", () => {
  test("names the machine, all of its addresses and where it listens", () => {
    const certificate = new X509Certificate(made.certificate);
    const addresses = Object.values(networkInterfaces()).flatMap((list = []) => list.map(({ address }) => address));
    for (const address of ["127.0.0.1", "::1", bind, ...addresses])
      assert.ok(certificate.checkIP(address), `names ${address}`);
    for (const name of ["localhost", hostname()]) assert.ok(certificate.checkHost(name), `names ${name}`);
    assert.ok(!serverNames(["0.0.0.0", "::"]).some((name) => name === "0.0.0.0" || name === "::"));
  });

  test("is its own authority to openssl, as a server's and no client's", async () => {
    const { certificateFile } = made;
    const options = ["-x509_strict", "-CAfile", certificateFile, "-verify_ip", bind];
    await run("openssl", ["verify", ...options, "-purpose", "sslserver", certificateFile]);
    await assert.rejects(run("openssl", ["verify", ...options, "-purpose", "sslclient", certificateFile]));
    const { stdout } = await run("openssl", ["x509", "-noout", "-fingerprint", "-sha256", "-in", certificateFile]);
    assert.equal(stdout.trim(), `sha256 Fingerprint=${made.fingerprint}`);
    assert.equal(fingerprintOf(made.certificate), made.fingerprint);
  });

  test("is accepted by clients that hold it, also beside another's, and by no others", async (t) => {
    const server = createServer({ cert: made.certificate, key: made.privateKey }, (socket) => socket.end());
    t.after(() => server.close());
    server.listen(0, bind);
    await once(server, "listening");
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    const connected = async (ca: string[], servername?: string): Promise<string> => {
      const options = servername === undefined ? {} : { servername };
      const socket: TLSSocket = connect({ host: bind, port: address.port, ca, ...options });
      try {
        await once(socket, "secureConnect");
        return "accepted";
      } catch (error) {
        return error instanceof Error && "code" in error ? String(error.code) : String(error);
      } finally {
        socket.destroy();
      }
    };
    const other = await loadOrCreateServerCertificate(join(folder, "..", "other"), serverNames([bind]), Date.now());
    assert.equal(await connected([made.certificate]), "accepted");
    assert.equal(await connected([made.certificate], "localhost"), "accepted");
    assert.equal(await connected([other.certificate, made.certificate]), "accepted");
    assert.match(await connected([other.certificate]), /SELF_SIGNED|UNABLE_TO_VERIFY|SIGNATURE/);
    assert.equal(await connected([made.certificate], "elsewhere.test"), "ERR_TLS_CERT_ALTNAME_INVALID");

    const client = ["s_client", "-connect", `${bind}:${address.port}`, "-CAfile", made.certificateFile];
    const started = run("openssl", [...client, "-verify_return_error", "-verify_ip", bind]);
    started.child.stdin?.end();
    assert.match((await started).stdout, /Verify return code: 0 \(ok\)/);
  });

  test("is kept in files that only its owner reads, whole", async () => {
    assert.deepEqual((await readdir(folder)).sort(), ["server-certificate.pem", "server-key.pem"]);
    for (const file of await readdir(folder)) assert.equal((await stat(join(folder, file))).mode & 0o777, 0o600);
    assert.equal((await stat(folder)).mode & 0o777, 0o700);
    assert.equal(await readFile(made.certificateFile, "utf8"), made.certificate);
  });

  test("stays the same at the next start, which says which new names it lacks", async () => {
    const again = await loadOrCreateServerCertificate(folder, ["localhost", bind, "127.0.0.10", "cp.test"], Date.now());
    assert.deepEqual(again, { ...made, missingNames: ["127.0.0.10", "cp.test"] });
  });

  test("that has expired, or lost its key, is not replaced behind the operator's back", async () => {
    const years = 11 * 365 * 86_400_000;
    const later = loadOrCreateServerCertificate(folder, [bind], Date.now() + years);
    await assert.rejects(later, (error) => {
      assert.ok(error instanceof KodiakError);
      assert.match(
        error.message,
        /server-certificate\.pem .* can't be used; .* remove both .*: cert: must be valid; it expired at 20/,
      );
      return true;
    });
    const lost = join(folder, "..", "lost");
    const before = await loadOrCreateServerCertificate(lost, [bind], Date.now());
    await rm(join(lost, "server-key.pem"));
    await assert.rejects(loadOrCreateServerCertificate(lost, [bind], Date.now()), /key: must be a private key in PEM/);
    await writeFile(join(lost, "server-key.pem"), made.privateKey);
    await assert.rejects(
      loadOrCreateServerCertificate(lost, [bind], Date.now()),
      /key: must be the key of the certificate/,
    );
    assert.equal(await readFile(before.certificateFile, "utf8"), before.certificate);
  });

  test("is made anew where a crash left only a key", async () => {
    const crashed = join(folder, "..", "crashed");
    const first = await loadOrCreateServerCertificate(crashed, [bind], Date.now());
    await rm(first.certificateFile);
    const second = await loadOrCreateServerCertificate(crashed, [bind], Date.now());
    assert.notEqual(second.fingerprint, first.fingerprint);
    assert.deepEqual(await loadOrCreateServerCertificate(crashed, [bind], Date.now()), second);
  });
});
