// What a subscription sends: a resource encoded once, its bytes shared by every stream that carries it.

export interface Item {
  readonly name: string;
  /** Opaque to receivers; equal content has an equal version. */
  readonly version: string;
  /** An encoded `envoy.service.discovery.v3.Resource`, without the tag and length of the field that holds it. */
  readonly bytes: Uint8Array;
}
