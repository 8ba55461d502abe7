/**
 * The words that the demo has besides the most frequent ones, so that neighbours of many kinds can be looked for in it.
 * Written by hand; a word that the full list lacks fails the making of the demo.
 */

const groups: Readonly<Record<string, string>> = {
  people: `king queen prince princess emperor empress duke duchess throne crown royal monarch kingdom man woman boy girl
    father mother son daughter brother sister uncle aunt nephew niece grandfather grandmother husband wife baby child
    friend neighbor teacher student doctor nurse lawyer judge farmer soldier sailor pilot engineer scientist chemist
    physicist mathematician philosopher poet novelist painter sculptor composer singer dancer actor actress baker butcher
    carpenter plumber`,
  cities: `london paris berlin rome madrid lisbon vienna athens moscow warsaw prague budapest dublin oslo stockholm
    copenhagen helsinki amsterdam brussels geneva zurich munich hamburg frankfurt barcelona milan venice florence naples
    istanbul cairo nairobi lagos johannesburg baghdad tehran delhi mumbai bangkok singapore jakarta manila tokyo osaka
    kyoto seoul beijing shanghai sydney melbourne toronto montreal vancouver boston chicago seattle houston dallas miami
    philadelphia havana lima bogota santiago`,
  countries: `england scotland wales ireland france germany italy spain portugal austria switzerland belgium netherlands
    denmark norway sweden finland iceland poland hungary romania bulgaria greece turkey russia ukraine egypt morocco
    kenya nigeria ethiopia brazil argentina chile peru mexico canada australia india pakistan china japan korea vietnam
    thailand indonesia`,
  animals: `dog cat puppy kitten horse cow bull sheep goat pig chicken duck goose turkey rabbit mouse rat squirrel fox
    wolf bear lion tiger leopard elephant giraffe zebra monkey gorilla whale dolphin shark salmon trout tuna frog snake
    lizard turtle crocodile eagle hawk owl crow sparrow pigeon parrot penguin bee ant spider butterfly mosquito`,
  colours: `red orange yellow green blue purple violet pink brown black white gray silver gold turquoise crimson`,
  numbers: `zero one two three four five six seven eight nine ten eleven twelve thirteen twenty thirty forty fifty hundred
    thousand million billion half third quarter dozen`,
  time: `monday tuesday wednesday thursday friday saturday sunday january february march april june july august september
    october november december spring summer autumn winter morning afternoon evening night midnight`,
  music: `piano violin cello viola flute clarinet oboe trumpet trombone saxophone guitar bass drum drums harp organ
    orchestra symphony concerto sonata opera jazz blues rock melody rhythm`,
  food: `bread butter cheese milk cream egg rice pasta pizza soup salad potato tomato onion garlic pepper salt sugar honey
    apple pear peach plum cherry lemon banana grape strawberry chocolate cake coffee tea beer wine whiskey juice`,
  nature: `sun moon earth mars venus jupiter saturn planet star galaxy comet river lake ocean sea island mountain valley
    forest desert beach storm thunder lightning rain snow wind cloud fog flood drought earthquake volcano tree oak pine
    flower rose grass leaf`,
  science: `physics chemistry biology mathematics geometry algebra calculus theorem equation atom molecule electron proton
    neutron gene protein cell virus bacteria vaccine energy gravity velocity hydrogen oxygen carbon nitrogen iron copper
    zinc aluminum uranium`,
  computing: `computer software hardware memory processor disk keyboard screen printer internet network server browser
    database compiler algorithm programming code linux microsoft apple google intel kernel graphics silicon`,
  things: `car truck bus train bicycle motorcycle airplane helicopter ship boat submarine rocket road bridge tunnel house
    castle palace church temple tower door window roof chair table bed lamp mirror knife fork spoon cup bottle shirt
    shoes hat coat pencil paper book newspaper letter camera television telephone`,
  sport: `football soccer baseball basketball tennis golf hockey rugby cricket swimming skating skiing boxing wrestling
    marathon cyclist goalkeeper striker coach referee`,
  verbs: `walk run jump swim fly eat drink sleep sing dance laugh cry read write speak listen think believe love hate buy
    sell build destroy walked walking ran running swam swimming`,
  qualities: `good better best bad worse worst big bigger small smaller fast faster slow slower hot warm cool cold happy
    sad angry afraid brave clever stupid beautiful ugly rich poor strong weak young old new ancient modern`,
};

export const chosenWords: ReadonlySet<string> = new Set(Object.values(groups).flatMap((group) => group.split(/\s+/)));
