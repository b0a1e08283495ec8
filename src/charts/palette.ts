/** Okabe and Ito's colours (2008), told apart by colour-blind eyes, on the deck's dark ground. */
export const palette = {
  ground: '#12151c', panel: '#1c212b', text: '#f4f1ea', quiet: '#b9c0cc', line: '#3a4252',
  sky: '#56b4e9', orange: '#e69f00', green: '#2fcf9f', pink: '#e79ac4',
} as const;
