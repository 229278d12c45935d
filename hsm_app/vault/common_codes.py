"""The most common passwords of six and more characters, which a person may not choose as recovery code.

With ten guesses an attacker tries the head of such a list, so its head is enough. From the frequency list of zxcvbn
(MIT licence), which counts leaked passwords. What `vault.recovery_code` refuses by rule is left out, and so are
obscenities. Lower case.
It is a module and no data file, since the pure core opens no files.
"""

from __future__ import annotations

_WORDS = """
password qwerty dragon baseball abc123 football monkey letmein shadow master mustang qwertyuiop 123321 1234567890
superman 1qaz2wsx qazwsx jordan 123qwe killer trustno1 hunter harley zxcvbnm asdfgh buster batman soccer tigger
charlie sunshine iloveyou ranger hockey computer starwars pepper klaster 112233 zxcvbn freedom princess maggie ginger
cheese 159753 summer chelsea dallas matrix yankees corvette austin access thunder merlin secret diamond hammer
1234qwer silver gfhjkm internet samantha golfer scooter orange cookie q1w2e3r4t5 maverick sparky phoenix mickey bigdog
snoopy guitar whatever chicken camaro mercedes peanut ferrari falcon cowboy welcome samsung steelers smokey dakota
arsenal boomer eagles tigers marina nascar gateway yellow porsche monster spider diablo hannah bulldog junior london
purple compaq lakers iceman qwer1234 cowboys banana ncc1701 boston tennis q1w2e3r4 coffee scooby 123654 nikita yamaha
mother barney brandy chester oliver player forever rangers midnight chicago bigdaddy redsox badboy fender jasper
slayer rabbit natasha marine wizard marlboro raiders prince casper fishing flower jasmine iwantu adidas winter winner
gandalf password1 ghbdtn 1q2w3e4r golden cocacola jordan23 winston madison angels panther sophie asdfasdf thx1138
toyota canada 12344321 8675309 muffin liverpoo apples qwerty123 passw0rd abcd1234 pokemon 123abc slipknot qazxsw
123456a scorpion qwaszx startrek rainbow asdfghjkl newyork redskins gemini cameron qazwsxedc florida liverpool turtle
sierra viking doctor rocket 159357 dolphins captain bandit jaguar packers pookie peaches 789456 dolphin helpme theman
maxwell qwertyui lovers maddog giants nirvana metallic hotdog rosebud mountain warrior stupid elephant success jackass
alexis scorpio samson q1w2e3 azerty rush2112 driver freddy 1q2w3e4r5t sydney gators dexter red123 123456q 12345a
creative voodoo trouble america nissan gunner garfield asdfghjk apollo 1qazxsw2 eminem legend airborne beavis brooklyn
godzilla skippy 4815162342 kitten shelby beaver phantom xavier braves darkness blink182 copper platinum tomcat
01012011 bigboy 102030 animal police online 11223344 voyager lifehack 12qwaszx sniper 315475 trinity blazer heaven
snowball loveme bubbles cricket willow donkey topgun nintendo saturn destiny pakistan pumpkin digital sergey redwings
explorer private runner therock guinness lasvegas beatles 789456123 cassie christin qwerty1 celtic asdf1234 andrey
broncos babygirl eclipse fluffy cartman michigan carolina testing alexande birdie pantera cherry vampire mexico
buffalo genius montana minecraft maximus flyers lovely stalker metallica doggie snickers speedy bronco lol123 paradise
yankee horses magnum dreams lacrosse goober enigma qwertyu scotty surfer poohbear genesis asd123 qweasdzxc racing
hello1 hawaii eagle1 einstein 12345q drowssap simple badger alaska action jester drummer 111222 spitfire forest
maryjane champion diesel svetlana friday hotrod 147258 lucky1 westside security google badass tester shorty thumper
hitman mozart zaq12wsx reddog 010203 lizard a123456 123456789a ruslan 1232323q scarface qwerty12 147852 a12345 buddha
spirit money1 stargate qwe123 naruto mercury liberty 12345qwert semperfi suzuki popcorn spooky marley scotland
cherokee vikings simpsons rascal qweasd hummer loveyou michael1 patches russia jupiter penguin passion vfhbyf vladimir
sandman passport raider 123789 infinity bulldogs fantasy 1234554321 domino budlight disney ironman softball brutus
redrum bigred mnbvcxz fktrcfylh karina marines digger kawasaki cougar fireman oksana monday justice wildcats tinker
logitech dancer swordfis avalon everton alexandr motorola patriots madonna ducati colorado connor juventus galore
smooth freeuser warcraft boogie titanic wolverin elizabet arizona valentin saints accord test123 password123 christ
yfnfif stinky spiderma chopper hello123 ncc1701d extreme skyline zombie pearljam 123qweasd froggy awesome vision
pirate fylhtq dreamer bullet predator empire 123123a kirill charlie1 panthers skipper nemesis rasdzv3 peekaboo
rolltide cardinal psycho danger mookie happy1 chevelle manutd goblue 9379992 hobbes vegeta fyfcnfcbz 852456 picard
159951 windows loverboy victory vfrcbv serega 123654789 turkey tweety galina hiphop rooster changeme berlin taurus
polina electric avatar 134679 maksim raptor alpha1 hendrix newport brazil spring a1b2c3 madmax britney sublime
darkside bigman wolfpack classic hercules ronaldo letmein1 1q2w3e 741852963 spiderman blizzard 123456789q cheyenne
cjkysirj tiger1 wombat bubba1 pandora zxc123 holiday wildcat devils alabama caesar buddy1 pickle shaggy catch22
leather chronic a1b2c3d4 qqq111 qaz123 airplane kodiak freepass billybob sunset katana chocolat snowman angel1
stingray firebird wolves zeppelin detroit pontiac gundam panzer outlaw redhead tarheels greenday nastya 01011980
engineer dragon1 hellfire serenity fireball darkstar 1029384756 mustang1 124578 strike beauty pavilion 01012000
bobafett dbrnjhbz bigmac bowling chris1 ytrewq natali pyramid welcome1 dodgers apache swimming whynot trooper defender
precious 135790 packard weasel popeye lucifer cancer icecream 142536 swordfish presario viktor rockstar blonde james1
wutang atlanta airforce thailand casino lennon 741852 hacker bluebird hawkeye 456123 theone catfish sailor goldfish
nfnmzyf tattoo barbie maxima machine trucks wrangler tornado lights cadillac bubble pegasus madman browns target
qazwsx123 microsoft dilbert christia baller xfiles seattle cthutq amateur prelude corona freaky malibu 123qweasdzxc
assassin 246810 atlantis integra iloveu lonewolf dragons monkey1 unicorn software bobcat stealth peewee openup 753951
srinivas zaqwsx valentina shotgun trigger veronika bruins coyote babydoll dollar lestat rocky1 random wordpass smiley
sweety chipper samurai devildog maddie soso123aljg freedom1 flipper express hjvfirf cessna piglet polaris teacher
montreal cookies wolfgang scully fatboy wicked tickle dfvgbh foobar transam fetish oicu812 basketba toshiba hotstuff
sunday gambit 31415926 impala stephani jessica1 hooker lancer knicks shamrock stinger 314159 redneck deftones squirt
siemens blaster trucker subaru renegade ibanez manson swinger reaper blondie mylove galaxy blahblah enterpri travel
1234abcd babylon5 indiana skeeter master1 ficken bigone
"""
COMMON_CODES = frozenset(_WORDS.split())
