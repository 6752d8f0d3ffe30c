// An address and a port, and how they are written.

export interface HostPort {
  readonly address: string;
  readonly port: number;
}

/** `127.0.0.1:80`, `[::1]:80`. */
export const hostPortText = ({ address, port }: HostPort): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
