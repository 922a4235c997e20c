// What mends the cause that a hint names, by the place where it is.
import { PAGES } from './advice-pages.ts';

type Place = 'front' | 'compression' | 'route' | 'secret' | 'sender';

/** The first that fits is the place: a hint with several parts names the problem of the header first. */
const PLACES: readonly (readonly [Place, RegExp])[] = [
  ['compression', /compressed/],
  ['front', /on the way|in a JSON string|base64-encoded after/],
  ['route', /of another route/],
  ['secret', /the (?:base64 text of the )?secret was (?!base64-|hex-)/],
];

const REMEDIES: Readonly<Record<Place, readonly [remedy: string, page: string]>> = {
  compression: ['Something in front of the proxy compresses or decompresses bodies: turn that off.', PAGES.bodies],
  front: ['Something in front of the proxy changes bodies: turn that off.', PAGES.bodies],
  route: ['Give the route that secret too, or correct the address at Entrupy.', PAGES.rotation],
  secret: ['Enter the secret in the same form here and at Entrupy.', PAGES.refused],
  sender: ['Mend how the sender signs.', PAGES.refused],
};

/** What mends the cause that a hint names, and its page; how the sender signs, if the cause is nowhere else. */
export function hintRemedy(hint: string): readonly [remedy: string, page: string] {
  return REMEDIES[PLACES.find(([, texts]) => texts.test(hint))?.[0] ?? 'sender'];
}
