from lxml import etree, html, objectify

root = etree.fromstring("<a><b n='1'>x</b><b n='2'>y</b></a>")
assert root.xpath("string(//b[@n=2])") == "y"
sheet = '<x:stylesheet version="1.0" xmlns:x="http://www.w3.org/1999/XSL/Transform"><x:template match="/">'
sheet += '<x:value-of select="count(//b)"/></x:template></x:stylesheet>'
assert str(etree.XSLT(etree.fromstring(sheet))(root)).split()[-1].endswith("2")
assert html.fromstring("<p>one<p>two").xpath("count(//p)") == 2
assert objectify.fromstring("<a><b>3</b></a>").b + 1 == 4
