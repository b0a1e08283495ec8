/**
 * The colours of a drawing: the theme's tokens by name, so that it follows the theme. Blue is what learns, grey what
 * stays frozen, amber what was measured; all from Okabe and Ito (2008), told apart by colour-blind eyes.
 */
export const palette = {
  ground: 'var(--ground)', panel: 'var(--panel)', line: 'var(--line)', text: 'var(--text)', quiet: 'var(--quiet)',
  learns: 'var(--learns)', measured: 'var(--measured)', green: 'var(--green)', pink: 'var(--pink)',
} as const;
