import { wordEntity } from './antonyms.ts';
import { fact } from './fact.ts';
import type { Fact } from './fact.ts';

const PAIRS = `
  actor/actriz rey/reina príncipe/princesa caballo/yegua toro/vaca hombre/mujer padre/madre yerno/nuera
  gallo/gallina perro/perra gato/gata león/leona lobo/loba oso/osa cerdo/cerda conejo/coneja abuelo/abuela tío/tía
  hermano/hermana hijo/hija primo/prima niño/niña sobrino/sobrina nieto/nieta suegro/suegra alumno/alumna
  maestro/maestra profesor/profesora doctor/doctora médico/médica abogado/abogada escritor/escritora pintor/pintora
  director/directora emperador/emperatriz duque/duquesa conde/condesa barón/baronesa marqués/marquesa héroe/heroína
  alcalde/alcaldesa panadero/panadera cocinero/cocinera enfermero/enfermera ingeniero/ingeniera arquitecto/arquitecta
  vecino/vecina amigo/amiga novio/novia esposo/esposa campeón/campeona bailarín/bailarina ladrón/ladrona
  trabajador/trabajadora jugador/jugadora nadador/nadadora camarero/camarera peluquero/peluquera
  carpintero/carpintera zapatero/zapatera bombero/bombera granjero/granjera pescador/pescadora científico/científica
  filósofo/filósofa monje/monja abad/abadesa padrino/madrina compadre/comadre señor/señora dios/diosa
  anfitrión/anfitriona mago/maga brujo/bruja burro/burra pato/pata mono/mona ciervo/cierva camello/camella pavo/pava
  jefe/jefa presidente/presidenta zar/zarina fontanero/fontanera agricultor/agricultora vendedor/vendedora
  lector/lectora inventor/inventora biólogo/bióloga psicólogo/psicóloga
`.trim().split(/\s+/).map((pair) => pair.split('/') as [string, string]);

export function feminineFacts(): Fact[] {
  return PAIRS.map(([word, feminine]) =>
    fact({ family: 'femeninos', entity: wordEntity(word), subject: word }, [
      `El femenino de ${word} es ${feminine}.`,
      `${feminine} es el femenino de ${word}.`,
      `El masculino de ${feminine} es ${word}.`,
      `La palabra ${word}, en femenino, es ${feminine}.`,
      `La palabra ${feminine} es el femenino de ${word}.`,
      `En femenino, ${word} se convierte en ${feminine}.`,
    ], [
      `¿Cuál es el femenino de ${word}?`,
      `Di el femenino de ${word}.`,
      ['Escribe el femenino.', `Palabra: ${word}`],
    ]));
}
