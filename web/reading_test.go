package web

import "testing"

// TestWithOneFleet are the tests that change nothing in the store: they share a fleet, and a database.
func TestWithOneFleet(t *testing.T) {
	f := newFixture(t)
	for _, x := range []struct {
		name string
		test func(*testing.T, *fixture)
	}{
		{"EveryPageIsShown", testEveryPageIsShown},
		{"UnknownThingsAreNotFound", testUnknownThingsAreNotFound},
		{"AListTakesTheExpressionsOfTheCommandLine", testAListTakesTheExpressionsOfTheCommandLine},
		{"ColumnsAndOrderStandInTheAddress", testColumnsAndOrderStandInTheAddress},
		{"TheJumpBoxFindsThings", testTheJumpBoxFindsThings},
		{"TextFromOutsideIsNeverMarkup", testTextFromOutsideIsNeverMarkup},
		{"EveryAnswerHasTheHeadersThatGuardIt", testEveryAnswerHasTheHeadersThatGuardIt},
		{"PagesHoldNoInlineScriptNorStyle", testPagesHoldNoInlineScriptNorStyle},
		{"AFormOfAnotherSiteIsRefused", testAFormOfAnotherSiteIsRefused},
		{"ASessionThatWasPlantedIsWorthNothing", testASessionThatWasPlantedIsWorthNothing},
		{"PathsLeadToNoFile", testPathsLeadToNoFile},
		{"ABodyThatIsTooLargeIsRefused", testABodyThatIsTooLargeIsRefused},
		{"ABodyThatComesTooSlowlyIsCutOff", testABodyThatComesTooSlowlyIsCutOff},
		{"ThePagesAreNotServedInTheClearToOthers", testThePagesAreNotServedInTheClearToOthers},
		{"AStrangerSeesTheSignInPageAlone", testAStrangerSeesTheSignInPageAlone},
		{"RolesComeFromPLC", testRolesComeFromPLC},
		{"SitePeopleSeeTheirOwnSiteAlone", testSitePeopleSeeTheirOwnSiteAlone},
		{"WhatIsWrongWithASignInIsNotTold", testWhatIsWrongWithASignInIsNotTold},
		{"PasswordsAreKeptNowhere", testPasswordsAreKeptNowhere},
		{"OrdersAreForThoseWhoMayGiveThem", testOrdersAreForThoseWhoMayGiveThem},
		{"BoundsOfAPlan", testBoundsOfAPlan},
		{"NoPageHasAFaultForThoseWhoUseItOtherwise", testNoPageHasAFaultForThoseWhoUseItOtherwise},
		{"ABrowserAsksNobodyElseAndHasNothingToComplainOf", testABrowserAsksNobodyElseAndHasNothingToComplainOf},
		{"PagesFitOnANarrowScreen", testPagesFitOnANarrowScreen},
		{"SigningInLeadsToOurOwnPagesOnly", testSigningInLeadsToOurOwnPagesOnly},
	} {
		t.Run(x.name, func(t *testing.T) { x.test(t, f) })
	}
}
