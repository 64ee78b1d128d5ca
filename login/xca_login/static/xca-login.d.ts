// SPDX-License-Identifier: Apache-2.0

/** What happened, and what to do next. */
export interface Words {
  readonly message: string;
  readonly nextStep: string;
}

/** Nobody was logged in. */
export class LoginError extends Error {
  /**
   * Names the situation; it never changes. Of the page itself: busy, popup_blocked, component_absent, window_cut,
   * window_closed, component_slow, site_unknown, component_refused, cancelled, site_unreachable. Others are the
   * site's (xca_login.errors).
   */
  readonly code: string;
  readonly words: Readonly<Record<"zh-TW" | "en", Words>>;
  /** A page of the component where the person can mend it. */
  readonly link: string | null;
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
}

export interface Options {
  /** Where the site takes a login's posts; by default /login. */
  path?: string;
  /** The origin of the local component; by default http://localhost:61161. */
  component?: string;
  /** Ends the login, and closes the window. */
  signal?: AbortSignal;
}

/** Let the card sign, and log in. To be called in the handler of a click. Rejects with LoginError. */
export function logIn(options?: Options): Promise<Login>;

/** End the session. Rejects with LoginError. */
export function logOut(options?: Pick<Options, "path">): Promise<void>;
