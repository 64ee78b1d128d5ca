// SPDX-License-Identifier: Apache-2.0

/** What happened, and what to do next. */
export interface Words {
  readonly message: string;
  readonly nextStep: string;
}

/** It was not done. */
export class LoginError extends Error {
  /**
   * Names the situation; it never changes. Of the page itself: busy, popup_blocked, component_absent, network_denied,
   * component_old, function_missing, window_cut, window_closed, component_slow, site_unknown, card_missing,
   * reader_missing, card_closed, card_open, pin_needed, pin_wrong, pin_locked, refused, not_opened,
   * component_refused, cancelled, site_unreachable. Others are the site's (xca_login.errors).
   */
  readonly code: string;
  readonly words: Readonly<Record<"zh-TW" | "en", Words>>;
  /**
   * A page of the component where the person can mend it. Let a link open it, with referrerpolicy="origin": the component
   * learns from the referrer which scheme and port to trust.
   */
  readonly link: string | null;
  /** After pin_wrong: how many wrong PINs lock the card; null: the component does not tell. */
  readonly triesLeft: number | null;
  private constructor();
  /** Both sentences, by default in the language of the page. */
  text(language?: string): string;
}

/** Who logged in, as the site tells its page. */
export interface Login {
  readonly holder_name: string;
  readonly organisation_oid: string | null;
  readonly tax_id: string | null;
  readonly rank: "primary" | "secondary";
  readonly origin: "declared" | "verified";
  readonly at: string;
  /**
   * What the holder has to be told: the account logged in with a component that does not confirm the site's origin, although
   * it had done so with one that does. Show it. null: nothing. The buttons show it by themselves.
   */
  readonly notice: Readonly<Record<"zh-TW" | "en", string>> | null;
}

/** A key for encryption that the site has registered. Times are ISO 8601. */
export interface Key {
  readonly holder_name: string;
  readonly rank: "primary" | "secondary";
  /** SHA-256 of the certificate, hexadecimal. */
  readonly sha256: string;
  readonly valid_until: string;
  readonly registered: string;
  /** When the card was first seen to open what is encrypted to the key; null: never so far. Show that. */
  readonly proved: string | null;
}

/** The local component on the holder's computer. */
export interface Component {
  /** xca: this project's, which confirms the site's origin and opens envelopes. vendor: the vendor's. */
  readonly kind: "xca" | "vendor";
  readonly version: string;
}

/** A card in a reader. */
export interface Card {
  readonly number: string;
  readonly reader: string;
  /** Certificate for signatures (cert1), DER in base64; null: the card has none. */
  readonly signing: string | null;
  /** Certificate for encryption (cert2), likewise. */
  readonly encryption: string | null;
}

/** For every function that opens the component's window: to be called in the handler of a click, one at a time. */
export interface Options {
  /** The origin of the local component; by default http://localhost:61161. */
  component?: string;
  /** Ends it, and closes the window. */
  signal?: AbortSignal;
  /** Seconds until the window has to speak; by default 15. */
  helloSeconds?: number;
  /** Seconds from then until the answer; by default 170. */
  answerSeconds?: number;
}

export interface CardOptions extends Options {
  /** The number of the card; by default the only one, or the one that the person chooses. */
  card?: string;
  /** Only after pin_needed: the vendor's component takes the PIN from the page. */
  pin?: string;
}

export interface SiteOptions extends CardOptions {
  /** Where the site takes a login's posts; by default /login. */
  path?: string;
}

/** Let the card sign, and log in. Rejects with LoginError, as all do. */
export function logIn(options?: SiteOptions): Promise<Login>;

/** End the session. */
export function logOut(options?: Pick<SiteOptions, "path">): Promise<void>;

/** Find out which component is there. */
export function findComponent(options?: Options): Promise<Component>;

/** Read the cards in the readers. It needs no PIN. */
export function readCards(options?: Options): Promise<{ readonly component: Component; readonly cards: readonly Card[] }>;

/**
 * Let the card sign a statement for this site (ASCII). Returns CMS SignedData in base64. A function fetches the statement
 * while the window opens, which browsers allow in the click alone.
 */
export function sign(statement: string | (() => Promise<string>), options?: CardOptions): Promise<string>;

/**
 * Let the card open CMS AuthEnvelopedData or EnvelopedData, as bytes or in base64. Of a statement for this site this
 * project's component returns the nonce alone. The vendor's component opens EnvelopedData alone.
 */
export function openEnvelope(envelope: Uint8Array | string, options?: CardOptions): Promise<Uint8Array>;

/**
 * Activate a card (開卡): the person does it on a page of the component. `acceptance`: what the card signed for the
 * certificate centre that it comes from, in base64; null: nothing, or the component has delivered it already.
 */
export function openCard(options: Options & { card: string; issuer: string }): Promise<{ acceptance: string | null }>;

/** Unlock a card or reset its PIN (鎖卡解碼/重設PIN碼): the person does it in the component's own window. */
export function resetPin(options: Options & { card: string; issuer: string }): Promise<void>;

/**
 * Give a card a new user code (用戶代碼重設) with a ticket (授權票) of its centre, in base64, or what fetches it: the person
 * chooses the code on a page of this project's component. Others answer function_missing.
 */
export function resetUserCode(options: Options & { ticket: string | (() => Promise<string>) }): Promise<void>;

/** Change the PIN (更改PIN碼); our component asks for both in its window. */
export function changePin(options: Options & { card: string }): Promise<void>;

/** Write a certificate, in base64, for one of the card's keys; it takes the place of the present one. */
export function writeCertificate(options: Options & { card: string; certificate: string }): Promise<void>;

/** Register the key for encryption of the card that logged in. It needs no PIN. */
export function registerKey(options?: SiteOptions): Promise<Key & { readonly component: Component }>;

/** Prove the registered key: the card opens an envelope of the site. not_opened: it stays unproved. */
export function proveKey(options?: SiteOptions): Promise<Key>;
