// An address and a port, and how they are written.

export interface HostPort {
  readonly address: string;
  readonly port: number;
}

/** `127.0.0.1:80`, `[::1]:80`. */
export const hostPortText = ({ address, port }: HostPort): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;

/** Of what somebody else has said is a port, as a number or its text; `undefined`: it is none, from 1 to 65535. */
export function portIn(value: unknown): number | undefined {
  const port = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof port === "number" && Number.isInteger(port) && port >= 1 && port <= 65535 ? port : undefined;
}
